local kit = require("durward.kit")

describe("deny_all", function()
  local policy = kit.load("policies/deny_all.lua")

  it("refuses everybody, by a rule with a name", function()
    local decision = policy:decide({ front = "zmtp", principal = "alice@HOME.EXAMPLE" })
    assert.same({ "deny", "everybody is refused" }, { decision.verdict, decision.rule })
    assert.equal("deny", policy:decide({ front = "zap", mechanism = "NULL" }).verdict)
  end)

  it("lets handshakes go on, so that the refusal stands in the journal with a name", function()
    assert.equal("allow", policy:connect({ front = "zmtp" }).verdict)
    assert.equal("allow", policy:realm({ front = "zmtp" }).verdict)
  end)
end)
