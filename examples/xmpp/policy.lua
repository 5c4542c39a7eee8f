-- Which address is whose, and who may pass.
local durward = require("durward")
local map, match, rule = durward.map, durward.match, durward.rule

---@type durward.Policy
return {
  map = map.chain({
    map.strip_realm("HOME.EXAMPLE"),              -- alice@HOME.EXAMPLE is alice@home.example
    map.name("%1.partner", "PARTNER.EXAMPLE"),    -- alice@PARTNER.EXAMPLE is alice.partner@home.example
  }),

  authorize = rule.first({
    rule.deny("carol has a password, and nobody else is carol", match.user("carol")),
    rule.deny("bob is on holiday", match.user("bob")),
    rule.allow("everybody we know", match.front("xmpp")),
  }),
}
