-- same_realm: the people of one realm pass, each under the first component of their name.
--
-- alice@HOME.EXAMPLE is the user alice.  Names with a second component (alice/admin, host/www.example.com) are
-- other identities than alice and are not mapped; neither is anybody from another realm.
--
-- REALM: the realm whose people pass.  nil takes the realm of the service that the client asked for, which is
-- the listener's own.
--
--   $ durward explain -p policies/same_realm.lua --principal alice@HOME.EXAMPLE --service zmq/broker@HOME.EXAMPLE
--   allow alice
--     rule       people of the realm

local REALM = nil

local durward = require("durward")
local rule = durward.rule

---@param event durward.Event
---@return string?
local function our_realm(event)
  return REALM or (event.service and event.service:match("@([^@]+)$"))
end

---@type durward.Policy
return {
  map = function(event)
    local principal, realm = event.principal, our_realm(event)
    if not principal then
      return nil, "no principal"
    elseif not realm then
      return nil, "the service names no realm; set REALM in the policy"
    elseif principal.realm ~= realm then
      return nil, "realm is " .. principal.realm .. ", not " .. realm
    elseif principal.instance then
      return nil, "the name has more than one component"
    end
    return principal.primary
  end,

  authorize = rule.first {
    rule.allow("people of the realm"),
  },
}
