package.path = "tests/lua/?.lua;" .. package.path
local spn = require("durward.spn")
local support = require("support")

describe("spn", function()
  it("makes domain-based names", function()
    assert.equal("xmpp/cm7.us.example.com/example.com@EXAMPLE.COM", spn.xmpp("cm7.us.example.com", "example.com"))
    assert.equal("xmpp/cm7/example.com@HOME.EXAMPLE", spn.xmpp("CM7", "Example.com.", "HOME.EXAMPLE"))
    assert.equal("ldap/db/example.com@EXAMPLE.COM", spn.domain_based("ldap", "db", "example.com"))
    assert.equal("xmpp/cm7/example.com", spn.sspi("cm7", "example.com"))
    assert.equal("ldap/db/example.com", spn.sspi("db", "example.com", "ldap"))
  end)

  it("makes host-based names", function()
    assert.equal("zmq@broker.example.com", spn.host_based("zmq", "Broker.example.com"))
    assert.equal("zmq/broker.example.com@HOME.EXAMPLE", spn.host_based("zmq", "broker.example.com", "HOME.EXAMPLE"))
    assert.same({ nil, "service 'a/b' holds '/', which 'service@host' has no place for" },
      { spn.host_based("a/b", "host") })
  end)

  it("quotes what Kerberos quotes", function()
    assert.equal([[a\/b/h/d@R\@S]], spn.domain_based("a/b", "h", "d", "R@S"))
    assert.same({ service = "a/b", host = "h", domain = "d", realm = "R@S" }, spn.parse([[a\/b/h/d@R\@S]]))
    assert.equal([[a\\b/h/d]], spn.sspi("h", "d", [[a\b]]))
  end)

  it("reads each of its forms back", function()
    for _, name in ipairs({ "xmpp/h.example/d.example@R", "zmq/h.example@R", "xmpp/h.example/d.example" }) do
      local p = spn.parse(name)
      assert.equal(name, p.domain and (p.realm and spn.domain_based(p.service, p.host, p.domain, p.realm)
        or spn.sspi(p.host, p.domain, p.service)) or spn.host_based(p.service, p.host, p.realm))
    end
    assert.same({ service = "zmq", host = "h.example" }, spn.parse("zmq@h.example"))
    assert.same({ service = "x", host = "y", realm = "Z" }, spn.parse(require("durward.principal").parse("x/y@Z")))
  end)

  it("says what is no service name", function()
    for name, why in pairs({
      ["alice@HOME.EXAMPLE"] = "is not a service name",
      ["a/b/c/d@R"] = "is not a service name",
      ["a//b@R"] = "empty part",
      ["a@b@c"] = "",
      [""] = "",
    }) do
      local parts, said = spn.parse(name)
      assert.is_nil(parts)
      assert.truthy(said:find(why, 1, true), said)
    end
  end)

  it("gives nil and why for a name that cannot be", function()
    assert.same({ nil, "domain '10.1.2.3' is an address, not a name" }, { spn.xmpp("h", "10.1.2.3") })
    assert.same({ nil, "realm 'a?b' holds a control character" }, { spn.xmpp("h", "d", "a\nb") })
    assert.same({ nil, "service is empty" }, { spn.domain_based("", "h", "d") })
  end)

  it("raises misuse at the caller's line", function()
    local _, message = pcall(function() spn.xmpp("h") end)
    assert.truthy(message:find("spn_spec.lua:%d+: spn.xmpp: expected a domain, a string; got nil$"), message)
    assert.error_matches(function() spn.host_based("a", "b", 1) end, "expected a realm, a string; got number")
    assert.error_matches(function() spn.parse() end, "expected a service name, got nil")
  end)

  it("is there for policies", function()
    local policy = support.policy([[return {
      realm = function(event) return { service = durward.spn.xmpp("cm7", event.domain) } end,
      map = function(event) return durward.spn.parse(event.service).domain end,
      authorize = rule.allow("it") }]])
    assert.equal("xmpp/cm7/example.com@EXAMPLE.COM", policy:realm({ front = "xmpp", domain = "example.com" }).service)
    assert.equal("d", policy:decide({ principal = "a@R", service = "xmpp/h/d@R" }).user)
  end)
end)
