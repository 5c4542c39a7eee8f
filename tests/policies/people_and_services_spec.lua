--- xmpp_user, hadoop, service_accounts and second_factor: who is whom, and who is refused.
local kit = require("durward.kit")

local function outcome(decision)
  return { decision.verdict, decision.user, decision.rule or decision.reason }
end

describe("xmpp_user", function()
  local policy = kit.load("policies/xmpp_user.lua")
  local function login(principal, fields)
    local event = { front = "xmpp", domain = "example.com", principal = principal }
    for name, value in pairs(fields or {}) do
      event[name] = value
    end
    return outcome(policy:decide(event))
  end
  local ALLOWED = { "allow", "alice", "people of the domain's realm" }

  it("lets in the people of the domain's realm", function()
    assert.same(ALLOWED, login("alice@EXAMPLE.COM"))
    assert.same(ALLOWED, login("alice@EXAMPLE.COM", { domain = "Example.Com" }))
    assert.same(ALLOWED, login("alice@EXAMPLE.COM", { authzid = "alice@example.com" }))
    for _, own in ipairs { "", "alice", "Alice@Example.com", "alice@EXAMPLE.COM" } do
      assert.same(ALLOWED, login("alice@EXAMPLE.COM", { authzid = own }))
    end
  end)

  for _, case in ipairs {
    { "alice@OTHER.EXAMPLE", nil, "not mapped: realm is OTHER.EXAMPLE, not EXAMPLE.COM" },
    { "alice@EXAMPLE.COM", { domain = "other.example" }, "not mapped: no realm is listed for domain 'other.example'" },
    { "alice/admin@EXAMPLE.COM", nil, "not mapped: the name has more than one component" },
    { "Alice@EXAMPLE.COM", nil, "not mapped: XMPP would take this name for another one" },
    { "al\\@ice@EXAMPLE.COM", nil, "not mapped: XMPP would take this name for another one" },
    { "al ice@EXAMPLE.COM", nil, "not mapped: XMPP would take this name for another one" },
    { "alice\\n@EXAMPLE.COM", nil, "not mapped: XMPP would take this name for another one" },
  } do
    it("refuses " .. case[1] .. ": " .. case[3], function()
      assert.same({ "deny", nil, case[3] }, login(case[1], case[2]))
    end)
  end

  it("lets nobody act as another, and serves no other front", function()
    assert.same({ "deny", "alice", "nobody acts as another" },
      login("alice@EXAMPLE.COM", { authzid = "bob@example.com" }))
    assert.same({ "deny", "alice", "no policy decided on user 'alice'" },
      login("alice@EXAMPLE.COM", { front = "zmtp" }))
  end)
end)

describe("hadoop", function()
  local policy = kit.load("policies/hadoop.lua")
  for _, case in ipairs {
    { "nn/nn1.example.com@HADOOP.EXAMPLE", "allow", "hdfs", "Hadoop's own services" },
    { "rm/rm1.example.com@HADOOP.EXAMPLE", "allow", "yarn", "Hadoop's own services" },
    { "Alice@HADOOP.EXAMPLE", "allow", "alice", "people of the realm" },
    { "hdfs@HADOOP.EXAMPLE", "deny", "hdfs", "names of services, but of a person" },
    { "alice@OTHER.EXAMPLE", "deny" },
    { "alice/x@HADOOP.EXAMPLE", "deny" },
    { "nn/nn1.example.com@OTHER.EXAMPLE", "deny" },
  } do
    it(case[1], function()
      local decision = policy:decide({ principal = case[1] })
      assert.same({ case[2], case[3], case[4] }, { decision.verdict, decision.user, decision.rule })
    end)
  end
end)

describe("service_accounts", function()
  local policy = kit.load("policies/service_accounts.lua")
  for _, case in ipairs {
    { "collector/web3.dc1.example.com@HOME.EXAMPLE", "allow", "svc-collector" },
    { "backup/backup2.example.com@HOME.EXAMPLE", "allow", "svc-backup" },
    { "backup/backup12.example.com@HOME.EXAMPLE", "deny" },
    { "collector/web3.dc2.example.com@HOME.EXAMPLE", "deny" },
    { "collector/web3.dc1.example.com.evil.example@HOME.EXAMPLE", "deny" },
    { "collector/web3.dc1.example.com@OTHER.EXAMPLE", "deny" },
    { "collector/x/web3.dc1.example.com@HOME.EXAMPLE", "deny" },
    { "svc-collector@HOME.EXAMPLE", "deny" },
  } do
    it(case[1], function()
      local decision = policy:decide({ principal = case[1] })
      assert.same({ case[2], case[3] }, { decision.verdict, decision.user })
    end)
  end
end)

describe("second_factor", function()
  local policy = kit.load("policies/second_factor.lua")
  for _, case in ipairs {
    { { "otp" }, "allow", "people with a second factor" },
    { { "password", "pkinit" }, "allow", "people with a second factor" },
    { { "password" }, "deny", "a second factor is needed" },
    { { "OTP" }, "deny", "a second factor is needed" },
    { nil, "deny", "a second factor is needed" },
  } do
    it("with " .. (case[1] and table.concat(case[1], " and ") or "no indicator") .. ": " .. case[2], function()
      local gss = { indicators = case[1], mutual = true }
      local decision = policy:decide({ principal = "alice@HOME.EXAMPLE", gss = gss })
      assert.same({ case[2], "alice", case[3] }, { decision.verdict, decision.user, decision.rule })
    end)
  end

  it("believes our own KDC alone", function()
    local decision = policy:decide({ principal = "alice@OTHER.EXAMPLE", gss = { indicators = { "otp" } } })
    assert.equal("deny", decision.verdict)
  end)
end)
