--- Service names: who a client asks a ticket for, and so which key a server needs.
--
--     spn.xmpp("cm7.us.example.com", "example.com")    -- xmpp/cm7.us.example.com/example.com@EXAMPLE.COM
--
-- A domain-based name (RFC 5178, RFC 5179, XEP-0233) tells the service, the host that serves it and the domain it
-- is served for.  Hosts and domains are in lower case (RFC 4120, section 6.2.1), in their ASCII form (xn--..).

local core = require("durward.core")
local principals = require("durward.principal")

---@class durward.spn
local spn = {}

local function misuse(name, message, ...)
  core.misuse(("spn.%s: " .. message):format(name, ...))
end

local function check_strings(name, labels, ...)
  for i, label in ipairs(labels) do
    local value, is_optional = select(i, ...), label:find("?", 1, true)
    if type(value) ~= "string" and not (is_optional and value == nil) then
      misuse(name, "expected %s, a string; got %s", (label:gsub("%?", "")), type(value))
    end
  end
end

-- Fit for a terminal, whatever it holds.
local function shown(text)
  if not utf8.len(text) then
    text = text:gsub("[\x80-\xff]", "?")
  end
  return "'" .. text:gsub("[%c\x7f]", "?"):gsub("\xc2[\x80-\x9f]", "?") .. "'"
end

-- What is wrong with one label of a host's name, or nil (RFC 1123, section 2.1).
local function fault_of_label(label)
  if label == "" then
    return "has an empty label: two dots, or one at its start"
  elseif #label > 63 then
    return "has a label of more than 63 characters"
  elseif label:find("[^%w-]") then
    return "holds '" .. label:match("[^%w-]"):gsub("[%c\x7f]", "?") .. "'; a name is of letters, digits, '-' and dots"
  elseif label:find("^-") or label:find("-$") then
    return "has a label that starts or ends with '-'"
  end
end

-- The name as tickets have it, or nil and what is wrong.  A final dot, as in zone files, is no part of it.
local function host_name(what, text)
  local name = text:lower():gsub("%.$", "")
  if name == "" then
    return nil, ("%s is empty"):format(what)
  elseif name:find("[\x80-\xff]") then
    return nil, ("%s %s is not ASCII; give its A-label form, xn--.."):format(what, shown(text))
  elseif name:find(":", 1, true) or name:find("^[%d.]+$") then
    return nil, ("%s %s is an address, not a name"):format(what, shown(text))
  elseif #name > 253 then
    return nil, ("%s is longer than 253 characters"):format(what)
  end
  for label in (name .. "."):gmatch("([^.]*)%.") do
    local fault = fault_of_label(label)
    if fault then
      return nil, ("%s %s %s"):format(what, shown(text), fault)
    end
  end
  return name
end

local function plain_word(what, text)
  if text == "" then
    return nil, ("%s is empty"):format(what)
  elseif text:find("[%c\x7f]") then
    return nil, ("%s %s holds a control character"):format(what, shown(text))
  end
  return text
end

-- Components to a principal, so that what Kerberos quotes is quoted.
local function name_of(components, realm)
  local quoted = {}
  for i, component in ipairs(components) do
    quoted[i] = component:gsub("[\\/@]", "\\%0")
  end
  local text = table.concat(quoted, "/") .. "@" .. (realm or ""):gsub("[\\/@]", "\\%0")
  return principals.format(text, realm and "full" or "no_realm")
end

-- Each part checked in turn: the parts, or nil and the first that is wrong.
local function parts_of(...)
  local parts = {}
  for i, part in ipairs({ ... }) do
    local value, why = part[1](part[2], part[3])
    if not value then
      return nil, why
    end
    parts[i] = value
  end
  return parts
end

--- "service/hostname/domain@REALM"; without a realm that of the domain, in upper case.
---@param service string
---@param hostname string  the host that serves
---@param domain string  the domain that is served
---@param realm? string
---@return string? name
---@return string? why
function spn.domain_based(service, hostname, domain, realm)
  check_strings("domain_based", { "a service", "a hostname", "a domain", "a realm?" }, service, hostname, domain, realm)
  local parts, why = parts_of(
    { plain_word, "service", service }, { host_name, "hostname", hostname }, { host_name, "domain", domain },
    { plain_word, "realm", realm or domain })
  if not parts then
    return nil, why
  end
  return name_of({ parts[1], parts[2], parts[3] }, realm or parts[3]:upper())
end

--- "xmpp/hostname/domain@REALM", as XEP-0233 has it.
---@param hostname string  what <hostname/> tells: the connection manager's own name
---@param domain string  the stream's `to`
---@param realm? string  else the domain in upper case
---@return string? name
---@return string? why
function spn.xmpp(hostname, domain, realm)
  check_strings("xmpp", { "a hostname", "a domain", "a realm?" }, hostname, domain, realm)
  return spn.domain_based("xmpp", hostname, domain, realm)
end

--- "xmpp/hostname/domain", as SSPI takes it: without a realm.
---@param hostname string
---@param domain string
---@param service? string  "xmpp"
---@return string? name
---@return string? why
function spn.sspi(hostname, domain, service)
  check_strings("sspi", { "a hostname", "a domain", "a service?" }, hostname, domain, service)
  local parts, why = parts_of(
    { plain_word, "service", service or "xmpp" }, { host_name, "hostname", hostname },
    { host_name, "domain", domain })
  if not parts then
    return nil, why
  end
  return name_of(parts)
end

--- "service@host", the GSSAPI's own spelling; with a realm the principal, "service/host@REALM".
---@param service string
---@param host string
---@param realm? string
---@return string? name
---@return string? why
function spn.host_based(service, host, realm)
  check_strings("host_based", { "a service", "a host", "a realm?" }, service, host, realm)
  local parts, why = parts_of(
    { plain_word, "service", service }, { host_name, "host", host }, { plain_word, "realm", realm or "-" })
  if not parts then
    return nil, why
  elseif realm then
    return name_of({ parts[1], parts[2] }, realm)
  elseif parts[1]:find("[@/]") then
    return nil, ("service %s holds '%s', which 'service@host' has no place for"):format(
      shown(service), service:match("[@/]"))
  end
  return parts[1] .. "@" .. parts[2]
end

---@class durward.spn.Name
---@field service string
---@field host string
---@field domain? string  of a domain-based name
---@field realm? string

--- The parts of any of these forms, and of an event's `service`; nil and why for another.
---@param name string|durward.Principal
---@return durward.spn.Name? parts
---@return string? why
function spn.parse(name)
  if type(name) == "string" then
    local service, host = name:match("^([^@/\\]+)@([^@/\\]+)$")
    if service and host ~= host:upper() then
      return { service = service, host = host }
    end
  elseif type(name) ~= "userdata" then
    misuse("parse", "expected a service name, got %s", type(name))
  end
  local text = tostring(name)
  local principal, why = principals.parse(text, "")
  if not principal then
    return nil, why
  end
  local components = principal.components
  if #components < 2 or #components > 3 then
    return nil, ("%s is not a service name: expected service/host or service/host/domain"):format(shown(text))
  end
  for _, component in ipairs(components) do
    if component == "" then
      return nil, ("%s has an empty part"):format(shown(text))
    end
  end
  return {
    service = components[1],
    host = components[2],
    domain = components[3],
    realm = principal.realm ~= "" and principal.realm or nil,
  }
end

return spn
