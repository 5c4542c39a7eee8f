local kit = require("durward.kit")

describe("same_realm", function()
  local policy = kit.load("policies/same_realm.lua")

  local function decide(principal, service)
    return policy:decide({ front = "zmtp", principal = principal, service = service or "zmq/broker@HOME.EXAMPLE" })
  end

  it("lets in the people of the service's realm", function()
    local decision = decide("alice@HOME.EXAMPLE")
    assert.same({ "allow", "alice", "people of the realm" }, { decision.verdict, decision.user, decision.rule })
  end)

  for _, case in ipairs {
    { "alice@OTHER.EXAMPLE", "realm is OTHER.EXAMPLE, not HOME.EXAMPLE" },
    { "alice/admin@HOME.EXAMPLE", "the name has more than one component" },
    { "alice@home.example", "realm is home.example, not HOME.EXAMPLE" },
    { "alice\\@HOME.EXAMPLE@OTHER.EXAMPLE", "realm is OTHER.EXAMPLE, not HOME.EXAMPLE" },
  } do
    it("does not map " .. case[1], function()
      local decision = decide(case[1])
      assert.same({ "deny", "not mapped: " .. case[2] }, { decision.verdict, decision.reason })
    end)
  end

  it("needs a principal and a realm", function()
    assert.equal("not mapped: no principal", policy:decide({ front = "zap", mechanism = "NULL" }).reason)
    assert.equal("deny", decide("alice@HOME.EXAMPLE", "zmq/broker").verdict)
  end)

  it("never maps to root", function()
    assert.equal("deny", decide("root@HOME.EXAMPLE").verdict)
  end)

  it("keeps to the ticket's end", function()
    local event = { principal = "alice@HOME.EXAMPLE", service = "zmq/broker@HOME.EXAMPLE", time = 1000 }
    event.gss = { expires = 2000 }
    assert.equal(2000, policy:decide(event).expires)
    event.gss = { expires = 900 }
    assert.equal("deny", policy:decide(event).verdict)
  end)
end)
