local kit = require("durward.kit")

describe("cross_realm", function()
  local policy = kit.load("policies/cross_realm.lua")

  local function outcome(principal)
    local decision = policy:decide({ front = "zmtp", principal = principal })
    return { decision.verdict, decision.user, decision.rule }
  end

  it("keeps our own names", function()
    assert.same({ "allow", "alice", "our own people" }, outcome("alice@HOME.EXAMPLE"))
  end)

  it("makes users of their own for partners", function()
    assert.same({ "allow", "alice.PARTNER.EXAMPLE", "people of partners" }, outcome("alice@PARTNER.EXAMPLE"))
  end)

  it("refuses realms that are not listed, whatever Kerberos trusts", function()
    assert.same({ "deny" }, outcome("alice@ELSEWHERE.EXAMPLE"))
  end)

  it("gives nobody another's name", function()
    assert.same({ "deny" }, outcome("alice.PARTNER.EXAMPLE@HOME.EXAMPLE"))
    assert.same({ "deny" }, outcome("alice/admin@PARTNER.EXAMPLE"))
  end)
end)
