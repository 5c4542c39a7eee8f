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

  it("refuses what only shares a domain with us or with a partner", function()
    assert.same({ "deny" }, outcome("alice@SUB.HOME.EXAMPLE"))
    assert.same({ "deny" }, outcome("alice@EXAMPLE"))
    assert.same({ "deny" }, outcome("alice@OFFICE.PARTNER.EXAMPLE"))
  end)

  it("takes a realm that comes through a listed one", function()
    assert.same({ "allow", "alice.LAB.PARTNER.EXAMPLE", "people of partners" }, outcome("alice@LAB.PARTNER.EXAMPLE"))
  end)

  it("does not load when a way leads through a realm that is not listed", function()
    local source <close> = assert(io.open("policies/cross_realm.lua"))
    local text = source:read("a")
    local function load(capaths)
      local path = os.tmpname()
      local file = assert(io.open(path, "w"))
      file:write((text:gsub("local CAPATHS = %b{}", (("local CAPATHS = " .. capaths):gsub("%%", "%%%%")))))
      file:close()
      local ok, why = pcall(kit.load, path)
      os.remove(path)
      return ok, why
    end
    local both = '["A.EXAMPLE"] = ".", ["B.EXAMPLE"] = { "C.EXAMPLE", "A.EXAMPLE" }'
    assert.is_true(load("{ " .. both .. ', ["C.EXAMPLE"] = "A.EXAMPLE" }'))
    local ok, why = load("{ " .. both .. " }")
    assert.is_false(ok)
    assert.match("CAPATHS: B.EXAMPLE comes through C.EXAMPLE, which is not listed", why, 1, true)
  end)

  it("gives nobody another's name", function()
    assert.same({ "deny" }, outcome("alice.PARTNER.EXAMPLE@HOME.EXAMPLE"))
    assert.same({ "deny" }, outcome("alice/admin@PARTNER.EXAMPLE"))
    assert.same({ "deny" }, outcome("alice.LAB@PARTNER.EXAMPLE"))
    assert.same({ "allow", "alice.b.PARTNER.EXAMPLE", "people of partners" }, outcome("alice.b@PARTNER.EXAMPLE"))
  end)
end)
