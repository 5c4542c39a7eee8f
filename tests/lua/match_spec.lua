package.path = "tests/lua/?.lua;" .. package.path
local support = require("support")
local matches, policy = support.matches, support.policy

describe("match", function()
  local cases = {
    { "match.realm('HOME.EXAMPLE')", {}, true },
    { "match.realm('A', 'B')", {}, "realm is HOME.EXAMPLE" },
    { "match.realm({ 'A', 'HOME.EXAMPLE' })", {}, true },
    { "match.realm('home.example')", {}, "realm is HOME.EXAMPLE" },
    { "match.principal('alice@HOME.EXAMPLE')", {}, true },
    { "match.principal('*@HOME.EXAMPLE')", {}, true },
    { "match.principal('*@HOME.EXAMPLE')",
      { principal = "alice/admin@HOME.EXAMPLE" }, "principal is alice/admin@HOME.EXAMPLE" },
    { "match.principal('*/admin@*')", { principal = "alice/admin@HOME.EXAMPLE" }, true },
    { "match.principal('*/admin@*')",
      { principal = "alice/x/admin@HOME.EXAMPLE" }, "principal is alice/x/admin@HOME.EXAMPLE" },
    { "match.principal('al*@HOME.EXAMPLE')", { principal = "al\\@ice@HOME.EXAMPLE" }, true },
    { "match.principal('alice@HOME.EXAMPLE')",
      { principal = "alice\\@HOME.EXAMPLE@X" }, "principal is alice\\@HOME.EXAMPLE@X" },
    { "match.primary('al?ce')", {}, true },
    { "match.primary('bob')", {}, "primary is alice" },
    { "match.instance('admin')", {}, "no instance" },
    { "match.instance('admin', 'root')", { principal = "alice/root@X" }, true },
    { "match.user('alice')", {}, true },
    { "match.user('b*')", {}, "user is alice" },
    { "match.peer('192.0.2.0/24')", { peer = { address = "192.0.2.255" } }, true },
    { "match.peer('192.0.2.0/24')", { peer = { address = "192.0.3.0" } }, "peer is 192.0.3.0" },
    { "match.peer('192.0.2.0/24')", { peer = { address = "::ffff:192.0.2.9" } }, true },
    { "match.peer('192.0.2.0/24')", {}, "no peer address" },
    { "match.peer('192.0.2.0/24')", { peer = { address = "local" } }, "peer is local" },
    { "match.peer('2001:db8::/32', '::1')", { peer = { address = "2001:db8:ffff::1" } }, true },
    { "match.peer('2001:db8::/32', '::1')", { peer = { address = "2001:db9::1" } }, "peer is 2001:db9::1" },
    { "match.peer('fe80::/10')", { peer = { address = "fe80::1%eth0" } }, true },
    { "match.peer('0.0.0.0/0')", { peer = { address = "::1" } }, "peer is ::1" },
    { "match.peer('::/0')", { peer = { address = "192.0.2.1" } }, true },
    { "match.peer('192.0.2.128/25')", { peer = { address = "192.0.2.127" } }, "peer is 192.0.2.127" },
    { "match.mechanism('GSSAPI')", { mechanism = "GSSAPI" }, true },
    { "match.mechanism('GSSAPI')", { mechanism = "PLAIN" }, "mechanism is PLAIN" },
    { "match.front('zap', 'xmpp')", { front = "zap" }, true },
    { "match.front('zap', 'xmpp')", { front = "zmtp" }, "front is zmtp" },
    { "match.domain('Example.COM')", { domain = "example.com" }, true },
    { "match.domain('*.example.com')", { domain = "example.com" }, "domain is example.com" },
    { "match.listener('trades')", { listener = "trades" }, true },
    { "match.listener('trades')", {}, "no listener" },
    { "match.service('zmq')", { service = "zmq/host@HOME.EXAMPLE" }, true },
    { "match.service('zmq/host')", { service = "zmq/host@HOME.EXAMPLE" }, true },
    { "match.service('zmq/other')", { service = "zmq/host@HOME.EXAMPLE" }, "service is zmq/host@HOME.EXAMPLE" },
    { "match.service('zmq/*@HOME.EXAMPLE')", { service = "zmq/host@HOME.EXAMPLE" }, true },
    { "match.indicator('otp')", { gss = { indicators = { "pkinit", "otp" } } }, true },
    { "match.indicator('otp')", { gss = { indicators = { "pkinit" } } }, "indicators are pkinit" },
    { "match.indicator('otp')", {}, "no authentication indicators" },
    { "match.confidential()", { gss = { confidential = true } }, true },
    { "match.confidential()", { gss = { confidential = false } }, "not confidential" },
    { "match.cross_realm()", { gss = { cross_realm = true } }, true },
    { "match.any(match.user('bob'), match.realm('X'))", {}, "user is alice, realm is HOME.EXAMPLE" },
    { "match.any(match.user('bob'), match.user('alice'))", {}, true },
    { "match.all(match.user('alice'), match.realm('X'))", {}, "realm is HOME.EXAMPLE" },
    { "match.none(match.user('bob'))", {}, true },
    { "match.none(match.user('bob'), match.user('alice'))", {}, "matcher 2 of none holds" },
  }
  for i, case in ipairs(cases) do
    it(("%d: %s says %s"):format(i, case[1], tostring(case[3])), function()
      assert.equal(case[3], matches(case[1], case[2]))
    end)
  end

  local mistakes = {
    { "match.realm()", "match.realm: expected at least one word" },
    { "match.realm(7)", "match.realm: expected words, got number" },
    { "match.realm('')", "match.realm: expected words, got an empty one" },
    { "match.realm({})", "match.realm: expected at least one word" },
    { "match.principal('alice')", "match.principal: 'alice' names no realm, as in 'alice@HOME.EXAMPLE'" },
    { "match.front('zmpt')", "match.front: there is no front 'zmpt', did you mean 'zmtp'?" },
    { "match.peer('192.0.2.1/24')", "match.peer: '192.0.2.1/24': an address bit beyond the prefix is set" },
    { "match.peer('192.0.2.0/33')", "match.peer: '192.0.2.0/33': the prefix length is between 0 and 32" },
    { "match.peer('host')",
      "match.peer: 'host' is not an address or a network such as 192.0.2.0/24 or 2001:db8::/32" },
    { "match.any()", "match.any: expected at least one matcher" },
    { "match.all('x')", "match.all: matcher 1 is a string, not a function" },
    { "match.relam('X')", "attempt to call a nil value (field 'relam')" },
  }
  for _, case in ipairs(mistakes) do
    it(case[1] .. " is told at load, with its line", function()
      local ok, why = pcall(policy, "\nlocal x = " .. case[1] .. "\nreturn {}")
      assert.is_false(ok)
      assert.equal("policy.lua:2: " .. case[2], why)
    end)
  end
end)
