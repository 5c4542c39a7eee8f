-- zap_by_domain: what a client must show, by the ZAP domain of the server that it comes to.
--
-- A server says its domain with ZMQ_ZAP_DOMAIN; with NULL libzmq asks only if it has one.  Domains that are not in the
-- table let nobody in.  event.zap.identity is the server's own routing id, not the client's.
--
-- DOMAINS: for each domain its mechanism, and
--   from    networks that clients come from: those of NULL are known by nothing else, and are the user `as`
--   realms  GSSAPI: whose people pass, each under the first component of their name

local DOMAINS = {
  ["sensors"] = { mechanism = "NULL", from = { "127.0.0.0/8", "::1" }, as = "sensor" },
  ["trades"] = { mechanism = "GSSAPI", realms = { "HOME.EXAMPLE" } },
}

local durward = require("durward")
local map, match, rule = durward.map, durward.match, durward.rule

local function nobody()
  return nil, "no map for this mechanism"
end

local names, maps, rules = {}, {}, {}
for domain in pairs(DOMAINS) do
  names[#names + 1] = domain
end
table.sort(names) -- so that a trace is the same each time

for _, domain in ipairs(names) do
  local wants = DOMAINS[domain]
  maps[domain] = wants.as and function()
    return wants.as
  end or wants.realms and map.strip_realm(table.unpack(wants.realms)) or nobody
  local from = wants.from and match.peer(table.unpack(wants.from))
  rules[#rules + 1] = rule.allow(domain, match.all(match.domain(domain), match.mechanism(wants.mechanism), from))
end

---@type durward.Policy
return {
  map = function(event)
    local found = maps[event.domain]
    if not found then
      return nil, "no such domain"
    end
    return found(event)
  end,

  authorize = rule.first(rules),
}
