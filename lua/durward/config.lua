--- The configuration's schema and messages.
--
-- `config.check` takes what a configuration file returned and says everything that is wrong with it, each
-- mistake with its place and the nearest right word; of a sound one it makes a plain table, defaults filled in
-- and paths absolute, from which C makes its structs.

local fields = require("durward.config.fields")
local run = require("durward.config.run")
local xmpp = require("durward.config.xmpp")

local config = {}

---@class durward.Config
---@field policy? string|string[]  policy files, asked in order until one decides; none: nobody passes
---@field keytab? string  the keys of listeners that name no keytab of their own
---@field journal? string  where every decision is written, one JSON object a line
---@field state_dir? string  replay cache and control socket; /var/lib/durward
---@field workers? integer  threads; one per core
---@field log? { level?: "debug"|"info"|"warn"|"error" }
---@field shadow? string|string[]  policies asked beside, with no effect; where they differ stands in the journal
---@field refuse_users? string[]  never mapped to, whatever a policy says; { "root" }
---@field reload_on_change? boolean  read anew when the configuration or a policy has changed; false
---@field test_on_reload? boolean  run policies' specs first, and reload only when they pass; false
---@field dns? { servers?: string[] }  asked for what policies resolve: "192.0.2.53", "[::1]:5353"; the system's
---@field limits? durward.Config.Limits
---@field zmtp? durward.Config.Zmtp[]
---@field zmtp_out? durward.Config.ZmtpOut[]
---@field zap? durward.Config.Listener[]
---@field xmpp? durward.Config.Xmpp[]
---@field dovecot? durward.Config.Dovecot[]

---@class durward.Config.Limits
---@field handshake_seconds? number  from accept to traffic; 10
---@field decision_seconds? number  one question to the policies; 5
---@field drain_seconds? number  how long connections may last after SIGTERM; 30
---@field connections? integer  of the process; 50000
---@field per_peer? integer  connections of one address; 1000
---@field per_user? integer  connections of one mapped user; 0: not counted
---@field frame_bytes? integer  one frame after the login; 64 MiB
---@field memory? integer  what all connections hold together; 1 GiB

---@class durward.Config.Listener
---@field name string  for logs, journal and events
---@field listen string  "tcp://*:5570", "tcp://[::1]:5570", "ipc:///run/durward/app", "ipc://@app"
---@field mode? string  of an ipc socket, as for chmod; "0600"
---@field group? string|integer  of an ipc socket
---@field allow_from? string[]  address ranges, as in { "192.0.2.0/24" }

---@class durward.Config.Zmtp : durward.Config.Listener
---@field service string  who we are: "zmq@host" or "zmq/host@REALM"
---@field backend string  a plain ZMTP peer: "tcp://127.0.0.1:5571" or "ipc://.."
---@field realm? string  the realm that we answer in
---@field keytab? string
---@field on_deny? "close"|"error"  "close"
---@field retry_hold_seconds? number  how long a refused client is held; 5
---@field forward? string[]  properties of the client's own that pass
---@field identity? "keep"|"user"|"drop"  "keep"
---@field protection? "encrypted"|"plaintext"  "encrypted"
---@field allow_anonymous? boolean  false

---@class durward.Config.ZmtpOut : durward.Config.Listener
---@field connect string  the kerberized peer
---@field service string  who it is: "zmq@host" or "zmq/host@REALM"
---@field realm? string  the realm to ask in
---@field ccache? string  a credential cache: a path, or "FILE:/run/x"
---@field keytab? string  keys to get tickets with
---@field principal? string  who we are
---@field protection? "encrypted"|"plaintext"  "encrypted"

--- The Dovecot authentication protocol, for servers that ask it: Prosody, Postfix, Exim, Dovecot.
---@class durward.Config.Dovecot : durward.Config.Listener
---@field services? string[]  whose keys may be asked for: { "xmpp", "smtp" }; any that the keytab has
---@field keytab? string
---@field realm? string  the realm that we answer in
---@field require_mutual? boolean  refuse clients that do not ask us to prove who we are; false
---@field master? string  "ipc:///run/durward/auth-master": where Dovecot's imap and pop3 ask who has logged in
---@field master_mode? string  of that socket; "0600"
---@field master_group? string|integer  of that socket

local kinds = { "zmtp", "zmtp_out", "zap", "xmpp", "dovecot" }

-- Properties that a client may not set, or need not be allowed to.
local own_properties = {
  ["user-id"] = "is durward's own property: it says who the user is, so no client may set it",
  ["x-peer-address"] = "is durward's own property: it says where the client is, so no client may set it",
  ["socket-type"] = "is durward's to pass on: it always does, held to the decision",
  ["identity"] = "is durward's to pass on, as the listener's 'identity' says",
  ["peer-address"] = "is set by the backend's own library, whatever a client says",
}

local function property(ctx, value, path)
  local name = fields.string(ctx, value, path)
  if not name then
    return nil
  elseif #name > 255 or not name:find("^[%w%-_.+]+$") then
    return ctx:note(path, "%s: %s is not a property's name: letters, digits, '-', '_', '.' and '+'",
      ctx.show(path), ctx.quote(name))
  elseif own_properties[name:lower()] then
    return ctx:note(path, "%s: '%s' %s", ctx.show(path), name, own_properties[name:lower()])
  end
  return name
end

local function service(ctx, value, path)
  local text = fields.word(ctx, value, path)
  if text and not text:find("^[^@/]+[@/][^@/]+") then
    return ctx:note(path, "%s: %s names no host, as in \"zmq@broker.example.com\"", ctx.show(path), ctx.quote(text))
  end
  return text
end

local function listener_name(ctx, value, path)
  local name = fields.string(ctx, value, path)
  if name and (#name > 64 or not name:find("^[%w_.%-]+$")) then
    return ctx:note(path, "%s: %s is not a name: at most 64 letters, digits, '-', '_' and '.'", ctx.show(path),
      ctx.quote(name))
  end
  return name
end

local function with_listener(more)
  local all = {
    name = fields.required(listener_name, 'what logs and events call it, as in "trades"'),
    listen = fields.required(fields.address_to_bind, 'as in "tcp://*:5570" or "ipc:///run/durward/app"'),
    mode = fields.mode,
    group = fields.group,
    allow_from = fields.list(fields.cidr, "nobody could connect"),
  }
  for key, field in pairs(more) do
    all[key] = field
  end
  return all
end

local protection = fields.choice("encrypted", "plaintext")

local function service_word(ctx, value, path)
  local text = fields.word(ctx, value, path)
  if text and text:find("[@/]") then
    return ctx:note(path, "%s is %s: a service alone is wanted, as in \"xmpp\" or \"smtp\"", ctx.show(path),
      ctx.quote(text))
  end
  return text
end

local listeners = {
  zmtp = with_listener({
    service = fields.required(service, 'who clients ask tickets for, as in "zmq@broker.example.com"'),
    backend = fields.required(fields.address_to_connect,
      'where admitted clients go, as in "tcp://127.0.0.1:5571"'),
    realm = fields.realm,
    keytab = fields.path,
    on_deny = fields.choice("close", "error"),
    retry_hold_seconds = fields.number(0, 3600),
    forward = fields.list(property),
    identity = fields.choice("keep", "user", "drop"),
    protection = protection,
    allow_anonymous = fields.boolean,
  }),
  zmtp_out = with_listener({
    connect = fields.required(fields.address_to_connect, 'the peer, as in "tcp://hq.example.com:5570"'),
    service = fields.required(service, 'the peer\'s, as in "zmq@hq.example.com"'),
    realm = fields.realm,
    ccache = fields.ccache,
    keytab = fields.path,
    principal = fields.word,
    protection = protection,
  }),
  zap = with_listener({}),
  xmpp = with_listener(xmpp.listener),
  dovecot = with_listener({
    services = fields.list(service_word, "no key would serve"),
    keytab = fields.path,
    realm = fields.realm,
    require_mutual = fields.boolean,
    master = fields.address_to_bind,
    master_mode = fields.mode,
    master_group = fields.group,
  }),
}

-- "192.0.2.53", "192.0.2.53:5353", "2001:db8::1", "[2001:db8::1]:5353"
local function dns_server(ctx, value, path)
  local text = fields.string(ctx, value, path)
  if not text then
    return nil
  end
  local host, port = text:match("^%[([%x:.]+)%]:(%d+)$")
  if not host then
    host, port = text:match("^([%d.]+):(%d+)$")
  end
  host = host or text:match("^%[([%x:.]+)%]$") or text
  if host:find("/", 1, true) or not ctx.door.cidr(host) then
    return ctx:note(path, "%s is %s, which is no address, as in \"192.0.2.53\" or \"[2001:db8::53]:5353\"",
      ctx.show(path), ctx.quote(text))
  elseif port and not (#port <= 5 and tonumber(port) >= 1 and tonumber(port) <= 65535) then
    return ctx:note(path, "%s is %s: a port is 1 to 65535", ctx.show(path), ctx.quote(text))
  end
  return text
end

local most = 10000000
local limits = {
  handshake_seconds = fields.number(0.1, 3600),
  decision_seconds = fields.number(0.01, 3600),
  drain_seconds = fields.number(0, 86400),
  connections = fields.integer(1, most),
  per_peer = fields.integer(1, most),
  per_user = fields.integer(0, most),
  frame_bytes = fields.integer(1024, 2 ^ 40),
  memory = fields.integer(2 ^ 20, 2 ^ 50),
}

local top = {
  policy = fields.one_or_list(fields.path),
  shadow = fields.one_or_list(fields.path),
  keytab = fields.path,
  journal = fields.path,
  state_dir = fields.path,
  workers = fields.integer(1, 1024),
  log = fields.record({ level = fields.choice("debug", "info", "warn", "error") }),
  refuse_users = fields.list(fields.string),
  reload_on_change = fields.boolean,
  test_on_reload = fields.boolean,
  dns = fields.record({ servers = fields.list(dns_server, "leave it out, and the system's are asked") }),
  limits = fields.record(limits),
}
for kind, known in pairs(listeners) do
  top[kind] = fields.list(fields.record(known), nil, "listeners")
end

-- Where a key that is unknown in one place is at home.
local homes = { { "at the top of the configuration", top }, { "in 'limits'", limits } }
for _, kind in ipairs(kinds) do
  homes[#homes + 1] = { "to '" .. kind .. "' listeners", listeners[kind] }
end

local function default(table_, values)
  for key, value in pairs(values) do
    if table_[key] == nil then
      table_[key] = value
    end
  end
end

-- Every address of a family: what is bound to one takes the port of all.
local every = { ["*"] = { [4] = true, [6] = true }, ["0.0.0.0"] = { [4] = true }, ["::"] = { [6] = true } }

--- Whether two addresses are one place, or an address of one stands for the other's.
local function same_place(a, b)
  if a.scheme ~= b.scheme then
    return false
  elseif a.scheme == "ipc" then
    return a.path == b.path
  end
  return a.port == b.port and a.port ~= 0 and a.plain_host == b.plain_host
end

--- Whether two sockets cannot be bound side by side.
local function collide(a, b)
  if a.scheme ~= "tcp" or b.scheme ~= "tcp" or a.port ~= b.port or a.port == 0 then
    return same_place(a, b)
  end
  local all_a, all_b = every[a.plain_host] or {}, every[b.plain_host] or {}
  return same_place(a, b) or all_a[b.family] or all_b[a.family] or a.host == "*" or b.host == "*"
end

--- Whether who connects to `to` reaches the socket bound at `at` of this machine, as far as names tell.
local function reaches(to, at)
  return same_place(to, at) or to.scheme == "tcp" and to.is_local and collide(to, at)
end

local function check_forward(ctx, found, path)
  local seen = {}
  for index, name in ipairs(found.forward or {}) do
    if seen[name:lower()] then
      local at = ctx.path(path, "forward", found.forward.from[index])
      ctx:note(at, "%s: '%s' stands there twice; case makes no difference", ctx.show(at), name)
    end
    seen[name:lower()] = true
  end
end

local checks = {}

local function check_keytab(ctx, found, path, whole)
  found.keytab = found.keytab or whole.keytab
  if not found.keytab and not whole.broken.keytab and not found.broken.keytab then
    ctx:note(path, "%s has no 'keytab': name one here, or one for all at the top of the configuration",
      ctx.show(path))
  end
end

function checks.zmtp(ctx, found, path, whole)
  check_forward(ctx, found, path)
  check_keytab(ctx, found, path, whole)
  local in_name = found.service and found.service:match("/.*@(.+)$")
  if in_name and found.realm and in_name ~= found.realm then
    ctx:note(ctx.path(path, "realm"), "%s is '%s', but 'service' names '%s'", ctx.show(ctx.path(path, "realm")),
      found.realm, in_name)
  end
  default(found, { on_deny = "close", retry_hold_seconds = 5, identity = "keep", protection = "encrypted" })
end

function checks.zmtp_out(ctx, found, path, whole)
  if not found.ccache then
    found.keytab = found.keytab or whole.keytab
    local broken = whole.broken.keytab or found.broken.keytab or found.broken.ccache
    if not found.keytab and not broken then
      ctx:note(path, "%s has neither 'ccache' nor 'keytab': it could not log in", ctx.show(path))
    end
  end
  default(found, { protection = "encrypted" })
end

checks.xmpp = xmpp.check

function checks.dovecot(ctx, found, path, whole)
  check_keytab(ctx, found, path, whole)
  local at = found.master
  if at and (at.scheme ~= "ipc" or at.path:sub(1, 1) == "@") then
    ctx:note(ctx.path(path, "master"), "%s is %s: it wants an ipc socket with a path, whose mode keeps others out",
      ctx.show(ctx.path(path, "master")), ctx.quote(at.text))
  end
  for _, key in ipairs(not at and not found.broken.master and { "master_mode", "master_group" } or {}) do
    if found[key] ~= nil then
      ctx:note(ctx.path(path, key), "%s means nothing without 'master'", ctx.show(ctx.path(path, key)))
    end
  end
end

-- A listener of its own, by a name that no configuration can give.
local function master_of(ctx, found)
  return {
    name = (found.name or "") .. ":master", of = found.name, listen = found.master, kind = "dovecot_master",
    mode = found.master_mode or 384, group = found.master_group, at = found.at, key = "master",
    shown = ctx.show(ctx.path(found.at, "master")), broken = {},
  }
end

local plain = { zmtp_out = true, zap = true, dovecot = true }

local function check_listen(ctx, found, path, kind)
  local at = found.listen
  if not at then
    return
  end
  for _, key in ipairs(at.scheme == "tcp" and { "mode", "group" } or at.path:sub(1, 1) == "@" and
    { "mode", "group", "allow_from" } or { "allow_from" }) do
    if found[key] ~= nil then
      ctx:note(ctx.path(path, key), "%s means nothing for %s: it is for %s", ctx.show(ctx.path(path, key)),
        ctx.quote(at.text), key == "allow_from" and "tcp listeners" or "ipc listeners with a path")
    end
  end
  if plain[kind] and not at.is_local and not found.allow_from and not found.broken.allow_from then
    ctx:note(ctx.path(path, "listen"),
      "%s is open to other machines without any login: name who may connect, as in allow_from = { \"192.0.2.0/24\" }",
      ctx.show(ctx.path(path, "listen")))
  end
end

local function check_names(ctx, all)
  local names = {}
  for _, one in ipairs(all) do
    local first, at = one.name and names[one.name], ctx.path(one.at, "name")
    if first then
      ctx:note(at, "%s is '%s', as %s is already called", ctx.show(at), one.name, ctx.show(first.at))
    elseif one.name then
      names[one.name] = one
    end
  end
end

local function check_addresses(ctx, all)
  local bound = {}
  for _, one in ipairs(all) do
    local at = ctx.path(one.at, one.key or "listen")
    for _, other in ipairs(one.listen and bound or {}) do
      if collide(one.listen, other.listen) then
        ctx:note(at, "%s is %s, where %s listens already", ctx.show(at), ctx.quote(one.listen.text), other.shown)
        break
      end
    end
    bound[#bound + 1] = one.listen and one
  end
  for _, one in ipairs(all) do
    local at = ctx.path(one.at, "backend")
    for _, other in ipairs(one.kind == "zmtp" and one.backend and bound or {}) do
      if other.kind == "zmtp" and reaches(one.backend, other.listen) then
        ctx:note(at, "%s is %s, where %s listens: a backend speaks ZMTP without a login", ctx.show(at),
          ctx.quote(one.backend.text), ctx.show(other.at))
      end
    end
    for _, domain in ipairs(one.served or {}) do
      local to = domain.backend and domain.backend.connect
      for _, other in ipairs(to and bound or {}) do
        if other.kind == "xmpp" and reaches(to, other.listen) then
          ctx:note(one.at, "%s: the backend of %s is %s, where %s listens: it would log in to itself", ctx.show(one.at),
            domain.domain, ctx.quote(to.text), ctx.show(other.at))
        end
      end
    end
  end
end

local function collect(ctx, whole)
  local all = {}
  for _, kind in ipairs(kinds) do
    local list = whole[kind]
    for _, found in ipairs(list or {}) do
      local path = found.at
      if checks[kind] then
        checks[kind](ctx, found, path, whole)
      end
      check_listen(ctx, found, path, kind)
      default(found, { mode = 384 })
      found.kind, found.shown = kind, ctx.show(path)
      all[#all + 1] = found
      if kind == "dovecot" and found.master then
        found.has_master = true
        all[#all + 1] = master_of(ctx, found)
      end
    end
  end
  check_names(ctx, all)
  check_addresses(ctx, all)
  return all
end

local function check_limits(ctx, whole)
  local found = whole.limits or {}
  default(found, {
    handshake_seconds = 10, decision_seconds = 5, drain_seconds = 30, connections = 50000, per_peer = 1000,
    per_user = 0, memory = math.max(1 << 30, found.frame_bytes or 0),
  })
  if not found.frame_bytes then
    found.frame_bytes = math.min(64 << 20, found.memory)
  elseif found.frame_bytes > found.memory then
    ctx:note({ "limits", "frame_bytes" }, "limits.frame_bytes is %d, more than limits.memory, which is %d",
      found.frame_bytes, found.memory)
  end
  whole.limits = found
end

--- Checks what a configuration returned.
---@param door table  what C lends
---@param value table
---@param root durward.config.Place
---@return table whole  plain values, defaults filled in; of use when nothing was found
---@return table findings
function config.check(door, value, root)
  local ctx = fields.context(door, root, homes)
  local whole = fields.record(top)(ctx, value, {}) or { broken = {} }
  check_limits(ctx, whole)
  whole.listeners = collect(ctx, whole)
  whole.log_level = whole.log and whole.log.level or "info"
  default(whole, { workers = door.cores, refuse_users = { "root" }, state_dir = "/var/lib/durward" })
  whole.places = fields.places(value, root, 6)
  return whole, ctx.findings
end

--- Runs and checks a configuration file.
---@param door table  what C lends
---@param path string  as it was named on the command line
---@param text string  its source
---@return string[] findings  "file:line: message", in the order of their places
---@return table? whole  without what is wrong: all of it when there are no findings
function config.load(door, path, text)
  local value, root, findings = run.configuration(door, path, text)
  local whole
  if value then
    local more
    whole, more = config.check(door, value, root)
    table.move(more, 1, #more, #findings + 1, findings)
  end
  for order, finding in ipairs(findings) do
    finding.order = order
  end
  table.sort(findings, function(a, b)
    if a.file ~= b.file then
      return a.file == path or b.file ~= path and a.file < b.file
    elseif a.line ~= b.line then
      return a.line < b.line
    end
    return a.order < b.order
  end)
  local lines = {}
  for index, finding in ipairs(findings) do
    lines[index] = ("%s:%d: %s"):format(finding.file, finding.line, finding.message)
  end
  return lines, whole
end

return config
