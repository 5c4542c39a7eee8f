--- The files of a lab: where it is, that it is one, and what its programs read.
local process = require("durward.process")

local files = {}

local MARKER = ".durward-lab"
local MARKER_TEXT = "A durward lab: 'durward lab down' removes this whole directory.\n"

local function write(path, text)
  local temporary = path .. ".new"
  local file, why = io.open(temporary, "w")
  if file then
    local ok, problem = file:write(text)
    ok = file:close() and ok
    if ok then
      process.chmod(temporary, tonumber("600", 8))
      ok, problem = os.rename(temporary, path)
    end
    why = not ok and (problem or "could not be written") or nil
  end
  if why then
    error({ message = why })
  end
end

--- The directory when none is named: one per user.
function files.default_dir()
  local lab = os.getenv("DURWARD_LAB_DIR")
  if lab and lab ~= "" then
    return lab
  end
  local runtime = os.getenv("XDG_RUNTIME_DIR")
  if runtime and runtime ~= "" and process.stat(runtime .. "/.") then
    return runtime .. "/durward-lab"
  end
  return "/tmp/durward-lab-" .. process.uid()
end

function files.is_lab(dir)
  local place, marker = process.stat(dir .. "/."), process.stat(dir .. "/" .. MARKER)
  return place ~= nil and place.mine and marker ~= nil and marker.mine and marker.type == "file"
end

local function is_empty(dir)
  local _, listing = process.run({ "/bin/ls", "-A", dir })
  return listing == ""
end

--- Makes `dir` ours: absent or empty before, or a lab already.  Its real path, and whether it was absent.
function files.claim(dir)
  local made = process.mkdir(dir)
  local place, why = process.stat(dir .. "/.")
  if not place then
    error({ message = why })
  end
  if place.type ~= "directory" or not place.mine then
    error({ message = dir .. " is not a directory of yours" })
  end
  if not made and not files.is_lab(dir) and not is_empty(dir) then
    error({ message = dir .. " is neither empty nor a lab; name another with --dir" })
  end
  process.chmod(dir, tonumber("700", 8))
  write(dir .. "/" .. MARKER, MARKER_TEXT)
  return process.realpath(dir), made
end

--- Holds the lab's lock until this process ends.  False when the lab went away while we waited.
function files.lock(dir)
  local path = dir .. "/lock"
  local held, why = process.lock(path)
  if not held then
    error({ message = why })
  end
  return process.stat(path) ~= nil
end

local function delete(dir, ...)
  if not files.is_lab(dir) then
    error({ message = dir .. " is not a lab; nothing was removed" })
  end
  local code, output = process.run({ "/usr/bin/find", dir, "-mindepth", "1", ... })
  if code ~= 0 then
    error({ message = ("%s could not be emptied: %s"):format(dir, output) })
  end
end

--- Takes away what an `up` that was cut short has left; marker and lock stay.
function files.empty(dir)
  delete(dir, "!", "-path", dir .. "/lock", "!", "-path", dir .. "/" .. MARKER, "-delete")
end

--- Removes a lab; with `keep` the directory itself stays, empty.
function files.remove(dir, keep)
  delete(dir, "-delete")
  if keep then
    return
  end
  local ok, why = process.rmdir(dir)
  if not ok then
    error({ message = why })
  end
end

--- What `up` was asked for, line by line: its realms with their ports, then nothing else.
function files.read_state(dir)
  local file = io.open(dir .. "/state")
  if not file then
    return nil
  end
  local state = {}
  for name, port in file:read("a"):gmatch("realm (%S+) (%d+)\n") do
    state[#state + 1] = { name = name, port = math.tointeger(port) }
  end
  file:close()
  return #state > 0 and state or nil
end

function files.write_state(dir, state)
  local lines = {}
  for i, realm in ipairs(state) do
    lines[i] = ("realm %s %d\n"):format(realm.name, realm.port)
  end
  write(dir .. "/state", table.concat(lines))
end

local KRB5_CONF = [[
[libdefaults]
  default_realm = %s
  dns_lookup_realm = false
  dns_lookup_kdc = false
  dns_canonicalize_hostname = false
  rdns = false
  default_keytab_name = FILE:%s/durward.keytab
  default_client_keytab_name = FILE:%s/no-client.keytab
  default_ccache_name = FILE:%s/default.cc
  default_rcache_name = file2:%s/default.rcache

[realms]
%s
[domain_realm]
  localhost = %s
  %s = %s
%s
[appdefaults]
]]

local KDC_CONF = [[
[kdcdefaults]
  kdc_max_dgram_reply_size = 4096

[realms]
%s
[logging]
  kdc = FILE:%s/kdc.log
  admin_server = FILE:%s/kdc.log
  default = FILE:%s/kdc.log
]]

--- Writes krb5.conf and kdc.conf.
function files.write_config(dir, state)
  local client, server, domains = {}, {}, {}
  for i, realm in ipairs(state) do
    client[i] = ("  %s = {\n    kdc = 127.0.0.1:%d\n  }\n"):format(realm.name, realm.port)
    server[i] = ([[
  %s = {
    kdc_listen = 127.0.0.1:%d
    kdc_tcp_listen = 127.0.0.1:%d
    database_name = %s/principal
    key_stash_file = %s/stash
    acl_file = %s/kadm5.acl
    max_life = 24h
    max_renewable_life = 7d
  }
]]):format(realm.name, realm.port, realm.port, dir .. "/" .. realm.name, dir .. "/" .. realm.name,
      dir .. "/" .. realm.name)
    local domain = realm.name:lower()
    domains[i] = ("  %s = %s\n  .%s = %s\n"):format(domain, realm.name, domain, realm.name)
  end
  local first = state[1].name
  write(dir .. "/krb5.conf", KRB5_CONF:format(first, dir, dir, dir, dir, table.concat(client), first,
    process.hostname(), first, table.concat(domains)))
  write(dir .. "/kdc.conf", KDC_CONF:format(table.concat(server), dir, dir, dir))
end

--- The credential cache of a user: of the first realm "alice.cc", of another "alice@PARTNER.EXAMPLE.cc".
function files.cache(dir, state, user, realm)
  local name = user:gsub("/", "-")
  return ("%s/%s%s.cc"):format(dir, name, realm == state[1].name and "" or "@" .. realm)
end

return files
