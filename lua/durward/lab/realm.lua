--- One realm of a lab: its database, its KDC, its principals.
local process = require("durward.process")
local tools = require("durward.lab.tools")

local realm = {}

local function secret()
  local random = assert(io.open("/dev/urandom", "rb"))
  local octets = random:read(16)
  random:close()
  return (octets:gsub(".", function(octet) return ("%02x"):format(octet:byte()) end))
end
realm.secret = secret

local function pid_file(dir, name)
  return ("%s/%s.pid"):format(dir, name)
end

--- The KDC's process, when it runs: a number, checked to be ours and not a later owner of its number.
function realm.pid(dir, name)
  local file = io.open(pid_file(dir, name))
  local pid = file and file:read("n")
  if file then
    file:close()
  end
  if not pid then
    return nil
  end
  local commandline = io.open(("/proc/%d/cmdline"):format(pid), "rb")
  if not commandline then
    return nil
  end
  local words = commandline:read("a")
  commandline:close()
  return words:find("krb5kdc", 1, true) and words:find(pid_file(dir, name) .. "\0", 1, true) and pid or nil
end

--- Makes the database; the configuration files must stand already.
function realm.create(dir, name)
  local ok, why = process.mkdir(dir .. "/" .. name)
  if not ok then
    error({ message = why })
  end
  tools.run(dir, "kdb5_util", { "-r", name, "create", "-s", "-P", secret() })
end

--- Starts the KDC; it answers when this returns.  nil and why when its port is taken, say.
function realm.start(dir, name)
  os.remove(pid_file(dir, name))
  local output, message = tools.try(dir, "krb5kdc", { "-r", name, "-P", pid_file(dir, name) })
  if not output then
    return nil, message
  end
  for _ = 1, 200 do -- its sockets are bound; the file is written by the daemon a moment later
    if realm.pid(dir, name) then
      return true
    end
    process.sleep(0.01)
  end
  return nil, "krb5kdc for " .. name .. " ended at once; see " .. dir .. "/kdc.log"
end

--- Stops the KDC and waits until it is gone.
function realm.stop(dir, name)
  for attempt = 1, 500 do
    local pid = realm.pid(dir, name)
    if not pid then
      return
    end
    if attempt == 1 or attempt == 300 then
      process.kill(pid, attempt == 1 and 15 or 9)
    end
    process.sleep(0.01)
  end
end

--- Both ways of trust between two realms: the same key in both databases.
function realm.trust(dir, one, other)
  for _, pair in ipairs({ { one, other }, { other, one } }) do
    local principal, password = ("krbtgt/%s@%s"):format(pair[1], pair[2]), secret()
    tools.admin(dir, one, "addprinc", "-pw", password, principal)
    tools.admin(dir, other, "addprinc", "-pw", password, principal)
  end
end

--- A user with a known password, its keys in users.keytab as well.
function realm.add_user(dir, name, user, password, options)
  local principal = user .. "@" .. name
  local request = { "addprinc", "-pw", password }
  table.move(options or {}, 1, #(options or {}), #request + 1, request)
  request[#request + 1] = principal
  tools.admin(dir, name, table.unpack(request))
  tools.admin(dir, name, "ktadd", "-q", "-norandkey", "-k", dir .. "/users.keytab", principal)
end

--- Services with random keys, in `keytab`.
function realm.add_services(dir, name, services, keytab)
  local principals = {}
  for i, service in ipairs(services) do
    principals[i] = service .. "@" .. name
    tools.admin(dir, name, "addprinc", "-randkey", principals[i])
  end
  tools.admin(dir, name, "ktadd", "-q", "-norandkey", "-k", keytab, table.unpack(principals))
  process.chmod(keytab, tonumber("600", 8))
end

--- A new key for a service.  In the keytab it stands beside the old one; without `keytab` the KDC alone has it.
function realm.roll(dir, name, service, keytab)
  local principal = service .. "@" .. name
  if keytab then
    tools.admin(dir, name, "ktadd", "-q", "-k", keytab, principal)
    process.chmod(keytab, tonumber("600", 8))
  else
    tools.admin(dir, name, "cpw", "-randkey", principal)
  end
end

--- A ticket of `principal` in `cache`; options as of kinit.
function realm.ticket(dir, principal, cache, options)
  local request = { "-k", "-t", dir .. "/users.keytab", "-c", "FILE:" .. cache }
  table.move(options or {}, 1, #(options or {}), #request + 1, request)
  request[#request + 1] = principal
  tools.run(dir, "kinit", request)
end

return realm
