local durward = require("durward")
local match, rule, map = durward.match, durward.rule, durward.map
return {
  connect = function(event) if event.peer.address == "::1" then return durward.deny { reason = "x" } end end,
  realm = function(event) return { realm = "HOME.EXAMPLE", service = "zmq/host" } end,
  map = map.chain { map.strip_realm("A", "B"), map.name("%1-%0", "HOME.EXAMPLE"), map.table { ["a@B"] = "c" } },
  authorize = rule.first {
    rule.deny("no", match.peer("192.0.2.0/24", "::1"), match.none(match.user("a*"))),
    rule.all { rule.allow("yes", match.any(match.principal("*@HOME.EXAMPLE"), match.indicator("otp"))), rule.temporary("t", match.front("zap")) },
    function(event) return event.plain.password:equals("x") and durward.allow { user = "y", sockets = { "SUB" } } or nil end,
  },
  close = function(event) local co = coroutine.wrap(function(s) for w in s:gmatch("%a+") do coroutine.yield(w) end end) co(tostring(event.principal)) end,
}
