-- Who is it, and may they pass?  Each function gets the event: what is known of the client, read-only.
local durward = require("durward")
local map, match, rule = durward.map, durward.match, durward.rule

---@type durward.Policy
return {
  -- Principal to user.  The first entry that knows the name decides; nobody does: refused.
  map = map.chain({
    map.strip_realm("HOME.EXAMPLE"),              -- alice@HOME.EXAMPLE is alice
    map.name("partner-%1", "PARTNER.EXAMPLE"),    -- alice@PARTNER.EXAMPLE is partner-alice: another person
  }),

  -- The first rule whose conditions all hold decides; its name stands in the journal.
  authorize = rule.first({
    rule.deny("bob is on holiday", match.user("bob")),
    rule.allow("everybody we know"),
  }),
}
