-- deny_all: nobody passes.  A safe start, and a way to close a door without stopping the broker.
--
--   $ durward explain -p policies/deny_all.lua --principal alice@HOME.EXAMPLE
--   deny
--     rule       everybody is refused

local rule = require("durward").rule

---@type durward.Policy
return {
  authorize = rule.first {
    rule.deny("everybody is refused"),
  },
}
