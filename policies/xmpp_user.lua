-- xmpp_user: people of a domain's own realm get the address of their name: alice@EXAMPLE.COM is alice@example.com.
--
-- REALMS: the realm whose people a domain belongs to.  A domain that is not listed lets nobody in.
--
-- XMPP does not tell Alice from alice (RFC 7622, section 3.3), Kerberos does; so a name that XMPP would change is
-- refused rather than given to someone else.  Whoever asks to act as another (authzid) is refused; clients name
-- themselves in three ways: alice, alice@example.com, alice@EXAMPLE.COM.
--
--   $ durward explain -p policies/xmpp_user.lua --front xmpp --domain example.com --principal alice@EXAMPLE.COM
--   allow alice

local REALMS = { ["example.com"] = "EXAMPLE.COM" }

local durward = require("durward")
local match, rule = durward.match, durward.rule

local function user(event)
  local principal, domain = event.principal, (event.domain or ""):lower()
  local realm = REALMS[domain]
  if not principal then
    return nil, "no principal"
  elseif not realm then
    return nil, "no realm is listed for domain '" .. domain .. "'"
  elseif principal.realm ~= realm then
    return nil, "realm is " .. principal.realm .. ", not " .. realm
  elseif principal.instance then
    return nil, "the name has more than one component"
  elseif not principal.primary:find("^[a-z0-9._+=~-]+$") then
    return nil, "XMPP would take this name for another one"
  end
  return principal.primary
end

local function as_another(event)
  local asked, address = event.authzid or "", event.user .. "@" .. event.domain:lower()
  if asked == "" or asked == event.user or asked:lower() == address or asked == event.principal.name then
    return false, "asks for no other address"
  end
  return true
end

local admit = rule.first {
  rule.deny("nobody acts as another", as_another),
  rule.allow("people of the domain's realm", match.front("xmpp")),
}

---@type durward.Policy
return { map = user, authorize = admit }
