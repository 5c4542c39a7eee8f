--- xmpp_cross_realm and xmpp_admins: who is whom at the server, and who may act for whom.
local kit = require("durward.kit")

local function login_to(policy)
  return function(principal, fields)
    local event = { front = "xmpp", domain = "example.com", principal = principal, peer = { address = "192.0.2.7" } }
    for name, value in pairs(fields or {}) do
      event[name] = value
    end
    return policy:decide(event)
  end
end

describe("xmpp_cross_realm", function()
  local login = login_to(kit.load("policies/xmpp_cross_realm.lua"))

  for _, case in ipairs {
    { "alice@EXAMPLE.COM", "allow", "alice", "our own people" },
    { "alice@PARTNER.EXAMPLE", "allow", "alice.partner", "people of partners" },
    { "alice.jr@EXAMPLE.COM", "allow", "alice.jr", "our own people" },
    { "alice.partner@EXAMPLE.COM", "deny", nil, "not mapped: the name ends like a partner's" },
    { "alice@ELSEWHERE.EXAMPLE", "deny", nil, "not mapped: realm ELSEWHERE.EXAMPLE is not listed for example.com" },
    { "alice/admin@PARTNER.EXAMPLE", "deny", nil, "not mapped: the name has more than one component" },
    { "Alice@EXAMPLE.COM", "deny", nil, "not mapped: XMPP would take this name for another one" },
  } do
    it(case[1] .. " is " .. (case[3] or "refused"), function()
      local decision = login(case[1])
      assert.same({ case[2], case[3], case[4] }, { decision.verdict, decision.user, decision.rule or decision.reason })
    end)
  end

  it("knows the domain it is for, and no other front", function()
    assert.equal("allow", login("alice@EXAMPLE.COM", { domain = "Example.COM" }).verdict)
    assert.equal("deny", login("alice@EXAMPLE.COM", { domain = "other.example" }).verdict)
    assert.equal("deny", login("alice@EXAMPLE.COM", { front = "zmtp" }).verdict)
  end)
end)

describe("xmpp_admins", function()
  local login = login_to(kit.load("policies/xmpp_admins.lua"))
  local ADMIN = "alice/admin@EXAMPLE.COM"

  it("gives admins addresses of their own", function()
    for _, asked in ipairs { "", "alice!admin", "alice!admin@example.com", ADMIN } do
      local decision = login(ADMIN, { authzid = asked })
      assert.same({ "allow", "alice!admin", "admins as themselves" },
        { decision.verdict, decision.user, decision.rule })
      assert.is_nil(decision.jid)
    end
  end)

  it("lets them act for others, with both names in the journal", function()
    for _, asked in ipairs { "bob", "bob@example.com", "Bob@Example.com" } do
      local decision = login(ADMIN, { authzid = asked })
      assert.same({ "allow", "alice!admin", "bob@example.com", "alice!admin acts for bob" },
        { decision.verdict, decision.user, decision.jid, decision.reason })
    end
  end)

  for _, case in ipairs {
    { "admin@example.com", "nobody acts for them" },
    { "ROOT", "nobody acts for them" },
    { "bob@other.example", "nobody acts for them" },
    { "carol!admin", "nobody acts for them" },
    { "@example.com", "nobody acts for them" },
  } do
    it("lets nobody act for " .. case[1], function()
      local decision = login(ADMIN, { authzid = case[1] })
      assert.same({ "deny", case[2] }, { decision.verdict, decision.rule })
    end)
  end

  it("lets nobody act for others from elsewhere", function()
    local decision = login(ADMIN, { authzid = "bob", peer = { address = "198.51.100.1" } })
    assert.same({ "deny", "acting for others goes from our own networks" }, { decision.verdict, decision.rule })
    assert.equal("allow", login(ADMIN, { peer = { address = "198.51.100.1" } }).verdict)
  end)

  it("leaves everybody else to the next policy", function()
    for _, principal in ipairs { "alice@EXAMPLE.COM", "alice/admin@PARTNER.EXAMPLE", "alice/ops@EXAMPLE.COM",
      "alice/admin/x@EXAMPLE.COM", "Alice/admin@EXAMPLE.COM" } do
      local decision = login(principal)
      assert.same({ "deny", nil }, { decision.verdict, decision.user })
    end
  end)

  it("serves its own domain and front", function()
    assert.equal("deny", login(ADMIN, { domain = "other.example" }).verdict)
    assert.equal("deny", login(ADMIN, { front = "zmtp", authzid = "" }).verdict)
  end)
end)
