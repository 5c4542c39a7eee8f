-- Users of PLAIN by a file of hashes, people with tickets by their realm; one list of rules for both.

local durward = require("durward")
local zap = require("durward.zap")
local map, match, rule = durward.map, durward.match, durward.rule

local users = zap.users("users")
local strip_realm = map.strip_realm("HOME.EXAMPLE")

---@type durward.Policy
return {
  map = function(event)
    if event.mechanism == "PLAIN" then
      local good, why = users:verify(event.plain.username, event.plain.password)
      return good and event.plain.username or nil, why
    end
    return strip_realm(event)
  end,

  authorize = rule.first {
    rule.deny("bob is on leave", match.user("bob")),
    rule.allow("traders", match.domain("trades"), { properties = { ["X-Team"] = "ops" } }),
  },
}
