--- What the configuration says of XMPP: domains, certificates, backends.
--
-- Each domain of a listener is given whole to C: what its own entry does not say, the listener says for it.

local fields = require("durward.config.fields")

local xmpp = {}

---@class durward.Config.XmppDomain
---@field tls? durward.Config.XmppTls
---@field backend? durward.Config.XmppBackend
---@field hostname? string  this connection manager's name, told to clients (XEP-0233); none: they are told none
---@field hosts? string[]  further names that clients ask tickets for, besides hostname and domain
---@field keytab? string
---@field realm? string  the realm that we answer in; whichever the keytab has keys of

--- Entries of `domains` take what they do not say themselves from the listener: tls and backend as a whole.
---@class durward.Config.Xmpp : durward.Config.Listener, durward.Config.XmppDomain
---@field domain? string  the first domain: its certificate is shown to who names none
---@field domains? table<string, durward.Config.XmppDomain>
---@field direct_tls? boolean  TLS from the first octet (XEP-0368), as on port 5223; false: STARTTLS, required
---@field mechanisms? ("GSSAPI"|"GS2-KRB5"|"GS2-KRB5-PLUS")[]  in the order they are offered; { "GSSAPI" }
---@field hostname_namespaces? (":1"|":0"|"draft"|string)[]  of <hostname/>, short or in full; { ":1" }
---@field hostname_in_features? boolean  <hostname/> once more in <features/>, where Gajim looks; false
---@field require_mutual? boolean  refuse clients that do not ask us to prove who we are; false
---@field idle_seconds? number  a stream on which nothing moves for so long is ended; 0: never

---@class durward.Config.XmppTls
---@field certificate string  PEM: the chain, leaf first
---@field key string  PEM

---@class durward.Config.XmppBackend
---@field connect string  a stock XMPP server: "tcp://127.0.0.1:5223", "ipc://.."
---@field tls? "starttls"|"none"  "starttls", verified; "none" for backends on this machine only
---@field ca_file? string  PEM: who may have signed its certificate; the system's authorities
---@field name? string  what its certificate must name; the domain
---@field login "jwt"|"token"|"external"
---@field secret_file? string  "jwt", "token": the secret shared with the server
---@field ca_certificate? string  "external": our own authority, which the server trusts
---@field ca_key? string  "external": its key
---@field proxy? 1|2  a line of the PROXY protocol of that version tells the server where the client is
---@field pool? integer  streams without an identity kept waiting, for each worker; 2, with proxy or "external" 0

local namespaces = {
  [":1"] = "urn:xmpp:domain-based-name:1",
  [":0"] = "urn:xmpp:domain-based-name:0",
  draft = "urn:xmpp:tmp:domain-based-name",
}
local known_namespaces = {
  ":1", ":0", "draft", "urn:xmpp:domain-based-name:1", "urn:xmpp:domain-based-name:0", "urn:xmpp:tmp:domain-based-name",
}

local function full_namespace(text)
  for short, full in pairs(namespaces) do
    if text == short or text == full then
      return full
    end
  end
  return nil
end

local function namespace(ctx, value, path)
  if full_namespace(value) then
    return full_namespace(value)
  end
  local wanted = '":1", ":0", "draft" or one of their full names, as in "urn:xmpp:domain-based-name:1"'
  if type(value) ~= "string" then
    return ctx:wants(path, wanted, value)
  end
  local near = ctx.door.nearest(value:lower(), known_namespaces)
  return ctx:note(path, "%s wants %s, not %s%s", ctx.show(path), wanted, ctx.quote(value),
    near and ('; did you mean "%s"?'):format(near) or "")
end

--- A name in lower case, as it stands in a service principal.
local function host(ctx, value, path)
  local text = fields.word(ctx, value, path)
  if text and text:find("[@/:\\<>&\"']") then
    return ctx:note(path, "%s is not a host's name: %s", ctx.show(path), ctx.quote(text))
  elseif text and (text:find("^%.") or text:find("%.%.") or text:find("%.$") or #text > 253) then
    return ctx:note(path, "%s: %s has a dot too many, or is longer than 253 characters", ctx.show(path),
      ctx.quote(text))
  end
  return text and text:lower()
end

local function once(ctx, list, path, what)
  local seen = {}
  for index, one in ipairs(list or {}) do
    if seen[one] then
      local at = ctx.path(path, list.from[index])
      ctx:note(at, "%s: %s %s stands there twice", ctx.show(at), what, ctx.quote(one))
    end
    seen[one] = true
  end
  return list
end

local function list_once(field, what, empty)
  local list = fields.list(field, empty)
  return function(ctx, value, path)
    return once(ctx, list(ctx, value, path), path, what)
  end
end

xmpp.domain = {
  hostname = host,
  hosts = list_once(host, "name"),
  tls = fields.record({
    certificate = fields.required(fields.path, "a file with the certificate chain"),
    key = fields.required(fields.path, "a file with its key"),
  }),
  keytab = fields.path,
  realm = fields.realm,
  backend = fields.record({
    connect = fields.required(fields.address_to_connect, 'as in "tcp://127.0.0.1:5223"'),
    tls = fields.choice("starttls", "none"),
    ca_file = fields.path,
    name = host,
    login = fields.required(fields.choice("jwt", "token", "external"), 'how users are logged in: "jwt", "token" or '
      .. '"external"'),
    secret_file = fields.path,
    ca_certificate = fields.path,
    ca_key = fields.path,
    proxy = fields.integer(1, 2),
    pool = fields.integer(0, 100),
  }),
}

xmpp.listener = {
  domain = host,
  domains = fields.map(fields.record(xmpp.domain)),
  direct_tls = fields.boolean,
  mechanisms = list_once(fields.choice("GSSAPI", "GS2-KRB5", "GS2-KRB5-PLUS"), "mechanism", "nobody could log in"),
  hostname_namespaces = list_once(namespace, "namespace"),
  hostname_in_features = fields.boolean,
  require_mutual = fields.boolean,
  idle_seconds = fields.number(0, 31 * 86400),
}
for key, field in pairs(xmpp.domain) do
  xmpp.listener[key] = field
end

-- What each login needs, and what it has no use for.
local needs = {
  jwt = { secret_file = "the key that the server verifies tokens with" },
  token = { secret_file = "the secret that the server's provider has as well" },
  external = {
    ca_certificate = "the authority that the server trusts for its clients",
    ca_key = "its key, with which each login gets a certificate",
  },
}

local function check_login(ctx, backend, path)
  local needed = needs[backend.login]
  for _, key in ipairs(needed and { "ca_certificate", "ca_key", "secret_file" } or {}) do
    local at = ctx.path(path, key)
    if needed[key] and backend[key] == nil and not backend.broken[key] then
      ctx:note(path, "%s has no '%s', which login = \"%s\" needs: %s", ctx.show(path), key, backend.login,
        needed[key])
    elseif not needed[key] and backend[key] ~= nil then
      ctx:note(at, "%s means nothing for login = \"%s\"", ctx.show(at), backend.login)
    end
  end
end

local function check_backend(ctx, backend, path)
  check_login(ctx, backend, path)
  if backend.tls == "none" then
    local at = ctx.path(path, "tls")
    if backend.connect and not backend.connect.is_local then
      ctx:note(at, "%s is \"none\", which is for backends on this machine only", ctx.show(at))
    elseif backend.login == "external" then
      ctx:note(at, "%s is \"none\", but login = \"external\" shows a certificate in TLS", ctx.show(at))
    end
    for _, key in ipairs({ "ca_file", "name" }) do
      at = ctx.path(path, key)
      if backend[key] then
        ctx:note(at, "%s means nothing for tls = \"none\"", ctx.show(at))
      end
    end
  end
  local alone = backend.login == "external" and "with login = \"external\" each has its own certificate"
    or backend.proxy and "with 'proxy' each tells where its client is"
  if alone and (backend.pool or 0) > 0 then
    local at = ctx.path(path, "pool")
    ctx:note(at, "%s is %d, but such streams cannot wait for a user: %s", ctx.show(at), backend.pool, alone)
  end
  backend.pool = backend.pool or (alone and 0 or 2)
end

local inherited = { "hostname", "hosts", "tls", "backend", "keytab", "realm" }

local function check_domain(ctx, one, path, is_broken)
  local asked = {
    tls = "a certificate for it, and its key",
    backend = "the server that its users go to",
    keytab = "name one here, or one for all at the top of the configuration",
  }
  for _, key in ipairs({ "backend", "keytab", "tls" }) do
    if one[key] == nil and not is_broken[key] then
      ctx:note(path, "%s has no '%s': %s", ctx.show(path), key, asked[key])
    end
  end
end

--- Checks a listener, and gives it `served`: its domains, each whole, in the order that C has them.
---@param found table
---@param whole table
function xmpp.check(ctx, found, path, whole)
  local domains = found.domains or {}
  found.served = {}
  if found.backend then
    check_backend(ctx, found.backend, ctx.path(path, "backend"))
  end
  found.keytab = found.keytab or whole.keytab
  found.broken.keytab = found.broken.keytab or whole.broken.keytab
  local seen = {}
  local function serve(domain, own, at, shown)
    local one, is_broken = { domain = domain, at = shown }, {}
    for _, key in ipairs(inherited) do
      one[key] = own[key]
      is_broken[key] = own.broken[key]
      if own[key] == nil and not own.broken[key] then
        one[key], is_broken[key] = found[key], found.broken[key]
      end
    end
    if seen[domain] then
      ctx:note(at, "%s: the domain %s is served already, by %s", ctx.show(at), ctx.quote(domain), seen[domain])
    end
    seen[domain] = seen[domain] or ctx.show(at)
    check_domain(ctx, one, shown == "" and path or at, is_broken)
    found.served[#found.served + 1] = one
  end
  if found.domain then
    serve(found.domain, found, ctx.path(path, "domain"), "")
  end
  for _, own in ipairs(domains) do
    local key = own.at[#own.at]
    if own.backend then
      check_backend(ctx, own.backend, ctx.path(own.at, "backend"))
    end
    local domain = host(ctx, key, own.at)
    if domain then
      serve(domain, own, own.at, ctx.show({ "domains", key }))
    end
  end
  if #domains == 0 and not found.domain and not (found.broken.domain or found.broken.domains) then
    ctx:note(path, "%s has neither 'domain' nor 'domains'", ctx.show(path))
  end
  found.mechanisms = found.mechanisms or { "GSSAPI" }
  found.hostname_namespaces = found.hostname_namespaces or { namespaces[":1"] }
  found.idle_seconds = found.idle_seconds or 0
end

return xmpp
