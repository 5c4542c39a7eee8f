--- MIT Kerberos' own programs, run for one lab: found, given the lab's environment, their failures told.
local process = require("durward.process")

local tools = {}

local PACKAGES = {
  ["krb5kdc"] = "krb5-kdc",
  ["kdb5_util"] = "krb5-kdc",
  ["kadmin.local"] = "krb5-admin-server",
  ["kinit"] = "krb5-user",
}

local function program_path(name)
  local path = (os.getenv("PATH") or "") .. ":/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin"
  return process.which(name, path)
end

--- Raises a sentence naming the Debian packages that are missing, if any is.
function tools.require_all()
  local missing, seen = {}, {}
  for name, package in pairs(PACKAGES) do
    if not program_path(name) and not seen[package] then
      seen[package] = true
      missing[#missing + 1] = package
    end
  end
  if #missing > 0 then
    table.sort(missing)
    error({ message = "a lab needs MIT Kerberos; install the Debian package"
      .. (#missing > 1 and "s " or " ") .. table.concat(missing, " ")
      .. "  (apt-get install " .. table.concat(missing, " ") .. ")" })
  end
end

--- The lab's variables, by name; false takes one away from what the programs inherit.
---@param dir string
function tools.environment(dir)
  return {
    KRB5_CONFIG = dir .. "/krb5.conf",
    KRB5_KDC_PROFILE = dir .. "/kdc.conf",
    KRB5CCNAME = false, KRB5_KTNAME = false, KRB5_CLIENT_KTNAME = false,
    KRB5RCACHENAME = false, KRB5_TRACE = false, LD_PRELOAD = false,
    LC_ALL = "C",
  }
end

local function environment_list(dir)
  local all, list = process.environ(), {}
  for name, value in pairs(tools.environment(dir)) do
    all[name] = value or nil
  end
  for name, value in pairs(all) do
    list[#list + 1] = name .. "=" .. value
  end
  return list
end

--- Runs `name` with its arguments in the lab at `dir`; its output, or nil and a sentence.
---@param dir string
---@param name string
---@param arguments string[]
---@return string|nil output
---@return string|nil message
function tools.try(dir, name, arguments)
  local path = program_path(name)
  if not path then
    tools.require_all()
  end
  local code, output = process.run({ path, table.unpack(arguments) }, environment_list(dir))
  if process.interrupted() then
    error({ message = "interrupted" })
  end
  if code ~= 0 then
    local last = (output or ""):gsub("%s+$", ""):match("([^\n]*)$")
    return nil, code and ("%s (exit %d): %s"):format(name, code, last) or ("%s: %s"):format(name, output)
  end
  return output
end

--- As `try`; a failure is raised.
function tools.run(dir, name, arguments)
  local output, message = tools.try(dir, name, arguments)
  if not output then
    error({ message = message })
  end
  return output
end

--- One kadmin.local request in a realm's database.
function tools.admin(dir, realm, ...)
  return tools.run(dir, "kadmin.local", { "-r", realm, ... })
end

return tools
