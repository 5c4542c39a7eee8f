--- durward lab: a throwaway realm.  A real MIT KDC on loopback, run as an ordinary user, everything of it in
--- one directory; several realms trust each other.
local process = require("durward.process")
local files = require("durward.lab.files")
local realm = require("durward.lab.realm")
local tools = require("durward.lab.tools")

local lab = {}

local DEFAULT_REALM = "HOME.EXAMPLE"
local USERS = { alice = "alice-password", bob = "bob-password", ["admin/admin"] = "admin-password" }
local USER_ORDER = { "alice", "bob", "admin/admin" }

local USAGE = [==[
usage: durward lab VERB [--dir DIR] ...

  up [--realm R]...       brings up a throwaway realm (default HOME.EXAMPLE); several trust each other.
     [--service S[@R]]... Users alice, bob and admin/admin, services, keytab and credential caches in DIR;
                          --service: a key for one more service, such as xmpp/host/domain
  env [--user U[@R]]      prints exports for a shell:  eval "$(durward lab env)"; the cache is alice's unless
                          --user names another
  status                  what runs, with users and passwords; exit 0 when it is up, 3 when not
  down                    stops it and removes DIR

  adduser U[@R] [--lifetime L] [--password P]     one more user, its ticket in a cache of its own
  addservice S[@R] [--keytab FILE]                one more service, its key in DIR/durward.keytab or FILE
  ticket U[@R] [--lifetime L] [--cache FILE]      a fresh ticket (L as kinit has it: 5s, 10m)
  roll S[@R] [--keytab FILE | --kdc-only]         a new key for a service; the keytab keeps the old one too

DIR, when not named: $DURWARD_LAB_DIR, else $XDG_RUNTIME_DIR/durward-lab, else /tmp/durward-lab-UID.
]==]

local function fail(format, ...)
  error({ message = format:format(...) })
end

local function usage_error(format, ...)
  error({ message = format:format(...) .. "; 'durward lab --help' tells more", code = 2 })
end

--- Options and words of one verb; `known` maps an option to "one", "many" or "flag".
local function parse(arguments, known)
  local options, words = {}, {}
  local i = 1
  while i <= #arguments do
    local word = arguments[i]
    local name, value = word:match("^(%-%-[%w-]+)=(.*)$")
    name = name or word
    local kind = known[name]
    if word:sub(1, 1) ~= "-" then
      words[#words + 1] = word
    elseif not kind then
      local list = {}
      for option in pairs(known) do
        list[#list + 1] = option
      end
      table.sort(list)
      usage_error("unknown option '%s' (here: %s)", name, table.concat(list, ", "))
    elseif kind == "flag" then
      options[name] = true
    else
      if not value then
        i = i + 1
        value = arguments[i]
      end
      if not value or value == "" then
        usage_error("%s needs a value", name)
      end
      if kind == "many" then
        options[name] = options[name] or {}
        table.insert(options[name], value)
      elseif options[name] then
        usage_error("%s stands twice", name)
      else
        options[name] = value
      end
    end
    i = i + 1
  end
  return options, words
end

local function one_word(words, what)
  if #words ~= 1 then
    usage_error("%s expected", #words == 0 and what or "only " .. what)
  end
  return words[1]
end

local function no_words(words)
  if words[1] then
    usage_error("unexpected '%s'", words[1])
  end
end

local function is_running(dir, state)
  for _, entry in ipairs(state or { false }) do
    if not entry or not realm.pid(dir, entry.name) then
      return false
    end
  end
  return true
end

--- The lab at `dir`, or a sentence raised with exit code 3.
local function find(options)
  local dir = options["--dir"] or files.default_dir()
  local state = files.is_lab(dir) and files.read_state(dir)
  if not state then
    error({ message = ("no lab is up in %s; 'durward lab up --dir %s' makes one"):format(dir, dir), code = 3 })
  end
  return process.realpath(dir), state
end

--- "alice@PARTNER.EXAMPLE" to its parts; the first realm when none is named.
local function split(name, state)
  local primary, realm_name = name:match("^([^@]+)@([^@]+)$")
  primary = primary or name:match("^[^@]+$")
  if not primary or not primary:match("^[%w._/$-]+$") or primary:sub(1, 1) == "-" then
    usage_error("'%s' is not a principal's name", name)
  end
  realm_name = realm_name or state[1].name
  for _, entry in ipairs(state) do
    if entry.name == realm_name then
      return primary, realm_name
    end
  end
  fail("this lab has no realm %s; it has %s", realm_name, state[1].name)
end

local function renew_caches(dir, state)
  for _, entry in ipairs(state) do
    for _, user in ipairs(USER_ORDER) do
      realm.ticket(dir, user .. "@" .. entry.name, files.cache(dir, state, user, entry.name))
    end
  end
end

local function start_all(dir, state)
  for attempt = 1, 10 do -- a port found free may be taken the moment after
    local why
    for _, entry in ipairs(state) do
      if not why and not realm.pid(dir, entry.name) then
        local ok, message = realm.start(dir, entry.name)
        if not ok then
          why, entry.port = message, process.free_port()
        end
      end
    end
    if not why then
      return files.write_state(dir, state)
    end
    if attempt == 10 then
      fail("%s", why)
    end
    files.write_config(dir, state)
  end
end

local function services()
  local hosts, list = { "localhost" }, {}
  local hostname = process.hostname()
  if hostname and hostname ~= "" and hostname ~= "localhost" then
    hosts[2] = hostname
  end
  for _, service in ipairs({ "zmq", "xmpp", "imap", "host" }) do
    for _, host in ipairs(hosts) do
      list[#list + 1] = service .. "/" .. host
    end
  end
  return list
end

local function create(dir, names)
  local state = {}
  for i, name in ipairs(names) do
    state[i] = { name = name, port = process.free_port() or fail("no free port on 127.0.0.1") }
  end
  files.write_config(dir, state)
  for i, name in ipairs(names) do
    realm.create(dir, name)
    for _, user in ipairs(USER_ORDER) do
      realm.add_user(dir, name, user, USERS[user])
    end
    realm.add_services(dir, name, services(), dir .. "/durward.keytab")
    for earlier = 1, i - 1 do
      realm.trust(dir, names[earlier], name)
    end
  end
  start_all(dir, state)
  renew_caches(dir, state)
  return state
end

local function stop_all(dir, names)
  for _, name in ipairs(names) do
    realm.stop(dir, name)
  end
end

local function same_realms(state, names)
  if #state ~= #names then
    return false
  end
  for i, entry in ipairs(state) do
    if entry.name ~= names[i] then
      return false
    end
  end
  return true
end

local function names_of(state)
  local names = {}
  for i, entry in ipairs(state) do
    names[i] = entry.name
  end
  return names
end

local function check_realms(names)
  local seen = {}
  for _, name in ipairs(names) do
    if not name:match("^%w[%w.-]*$") or #name > 200 then
      usage_error("'%s' is not a realm's name", name)
    end
    if seen[name] then
      usage_error("--realm %s stands twice", name)
    end
    seen[name] = true
  end
end

--- Names of realms whose KDC an `up` that was cut short may have left.
local function leftovers(dir)
  local names = {}
  local _, listing = process.run({ "/bin/ls", "-A", dir })
  for name in (listing or ""):gmatch("([^\n]+)%.pid\n") do
    names[#names + 1] = name
  end
  return names
end

--- What --service asks for, each checked against the realms that will be.
local function more_services(names, wanted)
  local list, realms = {}, {}
  for i, name in ipairs(names) do
    realms[i] = { name = name }
  end
  for i, name in ipairs(wanted) do
    local service, realm_name = split(name, realms)
    list[i] = { service = service, realm = realm_name }
  end
  return list
end

local function add_each(dir, services_wanted)
  for _, wanted in ipairs(services_wanted) do
    realm.add_services(dir, wanted.realm, { wanted.service }, dir .. "/durward.keytab")
  end
end

local function bring_up(dir, names, wanted)
  local state = files.read_state(dir)
  if not state then
    local list = names or { DEFAULT_REALM }
    local more = more_services(list, wanted)
    stop_all(dir, leftovers(dir))
    files.empty(dir)
    local made = create(dir, list)
    add_each(dir, more)
    return made, "is up"
  end
  if wanted[1] then
    fail("the lab in %s is up already; 'durward lab addservice %s --dir %s' adds to it", dir, wanted[1], dir)
  end
  if names and not same_realms(state, names) then
    fail("the lab in %s is up with %s; take it down first: durward lab down --dir %s", dir,
      table.concat(names_of(state), " "), dir)
  end
  if is_running(dir, state) then
    return state, "is already up"
  end
  start_all(dir, state)
  renew_caches(dir, state)
  return state, "is up again"
end

local verbs = {}

function verbs.up(arguments)
  local options, words = parse(arguments, { ["--dir"] = "one", ["--realm"] = "many", ["--service"] = "many" })
  no_words(words)
  local names = options["--realm"]
  check_realms(names or {})
  tools.require_all()
  process.guard()
  local dir, made
  repeat
    dir, made = files.claim(options["--dir"] or files.default_dir())
  until files.lock(dir)
  local before = files.read_state(dir)
  local ok, state, how = pcall(bring_up, dir, names, options["--service"] or {})
  if not ok then
    if not before then
      stop_all(dir, leftovers(dir))
      files.remove(dir, not made)
    end
    error(state, 0)
  end
  print(("lab %s: %s in %s"):format(how, table.concat(names_of(state), ", "), dir))
  print(('eval "$(durward lab env --dir %s)"'):format(dir))
  return 0
end

function verbs.down(arguments)
  local options, words = parse(arguments, { ["--dir"] = "one" })
  no_words(words)
  local dir = options["--dir"] or files.default_dir()
  if not process.stat(dir .. "/.") then
    print("no lab in " .. dir)
    return 0
  end
  if not files.is_lab(dir) then
    fail("%s is not a lab; nothing was removed", dir)
  end
  dir = process.realpath(dir)
  files.lock(dir)
  if files.is_lab(dir) then
    stop_all(dir, leftovers(dir))
    files.remove(dir)
  end
  print("lab is down: " .. dir)
  return 0
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

function verbs.env(arguments)
  local options, words = parse(arguments, { ["--dir"] = "one", ["--user"] = "one" })
  no_words(words)
  local dir, state = find(options)
  local user, realm_name = split(options["--user"] or "alice", state)
  local cache = files.cache(dir, state, user, realm_name)
  if not process.stat(cache) then
    fail("%s@%s has no credential cache here; 'durward lab ticket %s@%s --dir %s' makes one", user, realm_name,
      user, realm_name, dir)
  end
  local lines = {
    { "KRB5_CONFIG", dir .. "/krb5.conf" },
    { "KRB5_KDC_PROFILE", dir .. "/kdc.conf" },
    { "KRB5CCNAME", "FILE:" .. cache },
    { "DURWARD_LAB_DIR", dir },
    { "DURWARD_LAB_REALM", state[1].name },
    { "DURWARD_LAB_KEYTAB", dir .. "/durward.keytab" },
  }
  for _, line in ipairs(lines) do
    print(("export %s=%s"):format(line[1], quote(line[2])))
  end
  return 0
end

function verbs.status(arguments)
  local options, words = parse(arguments, { ["--dir"] = "one" })
  no_words(words)
  local dir, state = find(options)
  print(("lab     %s"):format(dir))
  local code = 0
  for _, entry in ipairs(state) do
    local pid = realm.pid(dir, entry.name)
    print(("realm   %s  kdc 127.0.0.1:%d  %s"):format(entry.name, entry.port, pid and "pid " .. pid or "not running"))
    code = pid and code or 3
  end
  for _, entry in ipairs(state) do
    for _, user in ipairs(USER_ORDER) do
      print(("user    %s@%s  password %s  cache %s"):format(user, entry.name, USERS[user],
        files.cache(dir, state, user, entry.name)))
    end
  end
  print(("keytab  %s/durward.keytab  (%s)"):format(dir, table.concat(services(), " ")))
  if code == 3 then
    print("a KDC is not running; 'durward lab up' starts it again")
  end
  return code
end

function verbs.adduser(arguments)
  local options, words = parse(arguments, { ["--dir"] = "one", ["--lifetime"] = "one", ["--password"] = "one" })
  local dir, state = find(options)
  local user, realm_name = split(one_word(words, "a user's name"), state)
  local password = options["--password"] or realm.secret()
  realm.add_user(dir, realm_name, user, password,
    options["--lifetime"] and { "-maxlife", options["--lifetime"] } or nil)
  local cache = files.cache(dir, state, user, realm_name)
  realm.ticket(dir, user .. "@" .. realm_name, cache)
  print(cache)
  return 0
end

function verbs.addservice(arguments)
  local options, words = parse(arguments, { ["--dir"] = "one", ["--keytab"] = "one" })
  local dir, state = find(options)
  local service, realm_name = split(one_word(words, "a service's name, such as zmq/host"), state)
  local keytab = options["--keytab"] or dir .. "/durward.keytab"
  realm.add_services(dir, realm_name, { service }, keytab)
  print(keytab)
  return 0
end

function verbs.roll(arguments)
  local options, words = parse(arguments, { ["--dir"] = "one", ["--keytab"] = "one", ["--kdc-only"] = "flag" })
  local dir, state = find(options)
  local service, realm_name = split(one_word(words, "a service's name, such as zmq/localhost"), state)
  local keytab = not options["--kdc-only"] and (options["--keytab"] or dir .. "/durward.keytab") or nil
  realm.roll(dir, realm_name, service, keytab)
  print(keytab or "the keytab was left as it is")
  return 0
end

function verbs.ticket(arguments)
  local options, words = parse(arguments, { ["--dir"] = "one", ["--lifetime"] = "one", ["--cache"] = "one" })
  local dir, state = find(options)
  local user, realm_name = split(one_word(words, "a user's name"), state)
  local cache = options["--cache"] or files.cache(dir, state, user, realm_name)
  realm.ticket(dir, user .. "@" .. realm_name, cache, options["--lifetime"] and { "-l", options["--lifetime"] })
  print(cache)
  return 0
end

--- Runs one command line (arguments from 1); the exit code.
---@param arguments string[]
---@return integer
function lab.main(arguments)
  local verb = arguments[1]
  if verb == "--help" or verb == "-h" or verb == "help" then
    io.write(USAGE)
    return 0
  end
  if not verb then
    io.stderr:write(USAGE)
    return 2
  end
  if not verbs[verb] then
    io.stderr:write(("durward lab: unknown verb '%s'; up, down, env and status are the main ones\n"):format(verb))
    return 2
  end
  if arguments[2] == "--help" then
    io.write(USAGE)
    return 0
  end
  local ok, result = pcall(verbs[verb], table.move(arguments, 2, #arguments, 1, {}))
  if ok then
    return result
  end
  if type(result) ~= "table" then
    error(result, 0)
  end
  io.stderr:write("durward lab: ", result.message, "\n")
  return result.code or 1
end

return lab
