-- xmpp_admins: who holds alice/admin@EXAMPLE.COM logs in under an address of their own, or, when the client asks for
-- it (authzid), as somebody else; every such login stands in the journal with both names.
--
-- REALM, DOMAIN: whose admins, and where.  NETWORKS: from where they may act for others.  NEVER: for whom nobody may.
--
-- It decides about admins alone; name another policy behind it for everybody else:
--   policy = { "xmpp_admins.lua", "xmpp_user.lua" }
--
-- An admin's own address holds a '!' (alice!admin), which xmpp_user gives to nobody.
--
--   $ durward explain -p policies/xmpp_admins.lua --front xmpp --domain example.com --peer 127.0.0.1 \
--       --principal alice/admin@EXAMPLE.COM --authzid bob@example.com
--   allow alice!admin
--     reason     alice!admin acts for bob

local REALM, DOMAIN = "EXAMPLE.COM", "example.com"
local NETWORKS = { "127.0.0.0/8", "::1", "192.0.2.0/24" }
local NEVER = { admin = true, root = true }

local durward = require("durward")
local map, match, rule = durward.map, durward.match, durward.rule

local function own_address(event)
  local principal = event.principal
  if not principal or principal.instance ~= "admin" or not principal.primary:find("^[a-z0-9._+=~-]+$") then
    return nil, "no admin"
  end
  return map.name("%1!%2", REALM)(event)
end

local function asks_for_nobody(event)
  local asked = event.authzid or ""
  local is_own = asked == event.user or asked:lower() == event.user .. "@" .. DOMAIN or asked == event.principal.name
  return asked == "" or is_own, "asks to act for " .. asked
end

-- Who is meant by "bob" and "bob@example.com".
local function other(event)
  local name = event.authzid:lower()
  name = name:sub(-#DOMAIN - 1) == "@" .. DOMAIN and name:sub(1, -#DOMAIN - 2) or name
  return name:find("^[a-z0-9._+=~-]+$") and name
end

local function nobody_acts_for(event)
  return not other(event) or NEVER[other(event)] == true, "may be acted for"
end

local function act(event)
  local reason = ("%s acts for %s"):format(event.user, other(event))
  return durward.allow({ jid = other(event) .. "@" .. DOMAIN, reason = reason })
end

---@type durward.Policy
return {
  map = own_address,
  authorize = rule.first {
    rule.deny("another domain", match.none(match.domain(DOMAIN))),
    rule.allow("admins as themselves", match.front("xmpp"), asks_for_nobody),
    rule.deny("nobody acts for them", nobody_acts_for),
    rule.deny("acting for others goes from our own networks", match.none(match.peer(table.unpack(NETWORKS)))),
    act,
  },
}
