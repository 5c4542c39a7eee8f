-- xmpp_cross_realm: chat for people of several realms in one domain, and nobody can take another's address.
--
-- DOMAINS: for each domain the realm whose people keep their names (home), and realms that we trust, each with the word
-- that their people's names end in: alice@PARTNER.EXAMPLE is alice.partner@example.com.
--
-- That the Kerberos libraries trust a realm is not enough to pass; it must be listed.  A name of our own that ends like
-- a partner's is refused, and so is any that XMPP would take for another (RFC 7622, section 3.3).
--
--   $ durward explain -p policies/xmpp_cross_realm.lua --front xmpp --domain example.com \
--       --principal alice@PARTNER.EXAMPLE
--   allow alice.partner

local DOMAINS = {
  ["example.com"] = { home = "EXAMPLE.COM", partners = { ["PARTNER.EXAMPLE"] = "partner" } },
}

local durward = require("durward")
local match, rule = durward.match, durward.rule

local function looks_like_a_partner(name, partners)
  for _, word in pairs(partners) do
    if name:sub(-#word - 1) == "." .. word then
      return true
    end
  end
  return false
end

local function user(event)
  local principal, domain = event.principal, (event.domain or ""):lower()
  local listed = DOMAINS[domain]
  if not principal then
    return nil, "no principal"
  elseif not listed then
    return nil, "nothing is listed for domain '" .. domain .. "'"
  elseif principal.instance then
    return nil, "the name has more than one component"
  elseif not principal.primary:find("^[a-z0-9._+=~-]+$") then
    return nil, "XMPP would take this name for another one"
  end
  local word = listed.partners[principal.realm]
  if word then
    return principal.primary .. "." .. word
  elseif principal.realm ~= listed.home then
    return nil, "realm " .. principal.realm .. " is not listed for " .. domain
  elseif looks_like_a_partner(principal.primary, listed.partners) then
    return nil, "the name ends like a partner's"
  end
  return principal.primary
end

local function of_a_partner(event)
  return event.principal.realm ~= DOMAINS[event.domain:lower()].home, "is one of our own"
end

---@type durward.Policy
return {
  map = user,
  authorize = rule.first {
    rule.allow("people of partners", match.front("xmpp"), of_a_partner),
    rule.allow("our own people", match.front("xmpp")),
  },
}
