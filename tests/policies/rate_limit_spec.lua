local kit = require("durward.kit")

describe("rate_limit", function()
  local function connect(policy, time, address)
    return policy:connect({ time = time, peer = { address = address } })
  end

  it("puts off who connects too often, and lets in again when time has passed", function()
    local policy = kit.load("policies/rate_limit.lua")
    for _ = 1, 20 do
      assert.equal("allow", connect(policy, 1000, "192.0.2.7").verdict)
    end
    local decision = connect(policy, 1000, "192.0.2.7")
    assert.same({ "temporary", "too many connections from one address" }, { decision.verdict, decision.rule })
    assert.equal("allow", connect(policy, 1000, "192.0.2.8").verdict)
    assert.equal("allow", connect(policy, 1001, "192.0.2.7").verdict)
    assert.equal("temporary", connect(policy, 1001, "192.0.2.7").verdict)
  end)

  it("counts logins by principal, and leaves the rest to the next policy", function()
    local policy = kit.load({ "policies/rate_limit.lua", "policies/second_factor.lua" })
    local function login(principal)
      return policy:decide({ time = 1000, principal = principal, gss = { indicators = { "otp" } } })
    end
    for _ = 1, 10 do
      assert.equal("allow", login("alice@HOME.EXAMPLE").verdict)
    end
    local decision = login("alice@HOME.EXAMPLE")
    assert.same({ "temporary", "too many logins of one principal" }, { decision.verdict, decision.rule })
    assert.equal("allow", login("carol@HOME.EXAMPLE").verdict)
  end)
end)
