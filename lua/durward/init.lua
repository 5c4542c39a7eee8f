--- durward: what a policy requires.
--
--     local durward = require("durward")
--     local match, rule = durward.match, durward.rule

local core = require("durward.core")

---@class durward
local durward = {
  rule = require("durward.rule"),
  match = require("durward.match"),
  map = require("durward.map"),
  log = require("durward.log"),
  principal = require("durward.principal"),
  a2l = require("durward.a2l"),
  realms = require("durward.realms"),
  limit = require("durward.limit"),
  secret = require("durward.secret"),
  spn = require("durward.spn"),
  await = require("durward.await"),
  groups = require("durward.groups"),
  roster = require("durward.roster"),
  zap = require("durward.zap"),
}

--- Lets the client in.  Every field is optional; a mistaken one is an error at the line that names it.
---@type fun(fields?: durward.Allow): durward.Decision
durward.allow = core.allow

--- Refuses; the reason is for the log and journal, never for the peer.
---@type fun(fields?: durward.Refusal): durward.Decision
durward.deny = core.deny

--- Cannot tell now: the peer may try again later.
---@type fun(fields?: durward.Refusal): durward.Decision
durward.temporary = core.temporary

return durward
