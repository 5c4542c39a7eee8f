package.path = "tests/lua/?.lua;" .. package.path
local support = require("support")
local matches, policy = support.matches, support.policy

local BERLIN = "zone = 'Europe/Berlin' }"
local OFFICE = "match.time { days = 'Mon-Fri', from = '08:00', to = '18:00', " .. BERLIN
local NIGHT = "match.time { days = 'Fri', from = '22:00', to = '06:00', " .. BERLIN

describe("match.time", function()
  -- 2026-11-20 is a Friday; Berlin is an hour ahead of UTC then, two in summer.
  local cases = {
    { OFFICE, 1795158000, true, "Fri 2026-11-20 08:00 Berlin" },
    { OFFICE, 1795157999.999999, "it is Fri 07:59 (Europe/Berlin)", "just before" },
    { OFFICE, 1795193999, true, "the last second" },
    { OFFICE, 1795194000, "it is Fri 18:00 (Europe/Berlin)", "18:00 is no longer in it" },
    { OFFICE, 1795244400, "it is Sat 08:00 (Europe/Berlin)", "a Saturday" },
    { OFFICE, 1784008800, true, "08:00 in summer, which is 06:00 UTC" },
    { OFFICE, 1784008799, "it is Tue 07:59 (Europe/Berlin)", "07:59:59 in summer" },
    { NIGHT, 1795208400, true, "Friday 22:00" },
    { NIGHT, 1795237199, true, "Saturday 05:59:59, of Friday's night" },
    { NIGHT, 1795237200, "it is Sat 06:00 (Europe/Berlin)", "Saturday 06:00" },
    { NIGHT, 1795122000, "it is Thu 22:00 (Europe/Berlin)", "Thursday 22:00" },
    { NIGHT, 1795150800 - 3600, "it is Fri 05:00 (Europe/Berlin)", "Friday 05:00 is of Thursday's night" },
    { "match.time { days = 'Sat, Sun', zone = 'UTC' }", 1795219200, true, "Saturday 00:00 UTC" },
    { "match.time { days = 'Sat,Sun', zone = 'UTC' }", 1795219199, "it is Fri 23:59 (UTC)", "just before" },
    { "match.time { days = 'Sun-Mon', zone = 'UTC' }", 1795392000, true, "over the week's end" },
    { "match.time { from = '00:00', to = '24:00', days = 'Fri', zone = 'Asia/Kolkata' }", 1795112999.5,
      "it is Thu 23:59 (Asia/Kolkata)", "half an hour's zone" },
    -- Clocks go forward on 2026-03-29 at 01:00 UTC, from 02:00 to 03:00.
    { "match.time { from = '02:00', to = '03:00', " .. BERLIN, 1774745999, "it is Sun 01:59 (Europe/Berlin)",
      "the hour that does not exist" },
    { "match.time { from = '02:00', to = '03:00', " .. BERLIN, 1774746000, "it is Sun 03:00 (Europe/Berlin)",
      "is skipped" },
    { "match.time { from = '02:30', to = '04:00', " .. BERLIN, 1774746000, true, "its end stays" },
    -- Clocks go back on 2026-10-25 at 01:00 UTC, from 03:00 to 02:00.
    { "match.time { from = '02:00', to = '03:00', " .. BERLIN, 1792886400, true, "02:00 the first time" },
    { "match.time { from = '02:00', to = '03:00', " .. BERLIN, 1792891800, true, "02:30 the second time" },
    { "match.time { from = '02:00', to = '03:00', " .. BERLIN, 1792893600, "it is Sun 03:00 (Europe/Berlin)",
      "03:00 after both" },
    { "match.time { from = '08:00', to = '18:00', zone = 'America/New_York' }", 4118040000 + 43200,
      "it is Wed 20:00 (America/New_York)", "in the year 2100, by the zone's rule" },
  }
  for _, case in ipairs(cases) do
    it(case[4] .. ": " .. case[1], function()
      assert.equal(case[3], matches(case[1], { time = case[2] }))
    end)
  end

  local mistakes = {
    { "match.time()", "expected one table: match.time { days =, from =, to =, zone = }" },
    { "match.time { day = 'Mon', zone = 'UTC' }", "unknown field 'day', did you mean 'days'?" },
    { "match.time { days = 'Mon' }", "name the time zone, as in zone = \"Europe/Berlin\" or zone = \"UTC\"" },
    { "match.time { zone = 'UTC' }", "every moment matches: give days, or from and to" },
    { "match.time { days = 'Mon-Fry', zone = 'UTC' }", "there is no day 'Fry', did you mean 'Fri'?" },
    { "match.time { days = 'Mon,', zone = 'UTC' }",
      "there is no day '': there are Mon, Tue, Wed, Thu, Fri, Sat and Sun" },
    { "match.time { from = '08:00', zone = 'UTC' }", "from and to belong together" },
    { "match.time { from = '8:00', to = '09:00', zone = 'UTC' }", "from is '8:00', not a time such as \"08:30\"" },
    { "match.time { from = '08:60', to = '09:00', zone = 'UTC' }", "from is '08:60', not a time such as \"08:30\"" },
    { "match.time { from = '08:00', to = 9, zone = 'UTC' }", "to is a number, not a time such as \"08:30\"" },
    { "match.time { from = '08:00', to = '08:00', zone = 'UTC' }",
      "from and to are the same: leave both out for the whole day" },
    { "match.time { days = 'Mon', zone = 'Europe/Berlni' }",
      "there is no time zone 'Europe/Berlni' (/usr/share/zoneinfo/Europe/Berlni: No such file or directory), "
        .. "as in \"Europe/Berlin\" or \"UTC\"" },
    { "match.time { days = 'Mon', zone = '../../../etc/passwd' }",
      "'../../../etc/passwd' is not the name of a time zone, as in \"Europe/Berlin\" or \"UTC\"" },
    { "match.time { days = 'Mon', zone = 'Europe' }",
      "there is no time zone 'Europe' (/usr/share/zoneinfo/Europe: not a time zone), "
        .. "as in \"Europe/Berlin\" or \"UTC\"" },
    { "match.time { days = 'Mon', zone = 'zone.tab' }",
      "'zone.tab' is not the name of a time zone, as in \"Europe/Berlin\" or \"UTC\"" },
    { "match.time { days = 'Mon', zone = 'leapseconds' }",
      "time zone 'leapseconds': not a whole time zone file (TZif, version 2 or later)" },
  }
  for _, case in ipairs(mistakes) do
    it("says of " .. case[1] .. ": " .. case[2], function()
      local ok, why = pcall(policy, "\nlocal x = " .. case[1] .. "\nreturn {}")
      assert.is_false(ok)
      assert.equal("policy.lua:2: match.time: " .. case[2], why)
    end)
  end

  it("reads no file once the policy serves", function()
    local decision = policy("return { map = function() require('durward.zone').open('UTC') end }"):decide({})
    assert.equal("temporary", decision.verdict)
    assert.truthy(decision.reason:find("while the policy is loaded, not in a hook", 1, true))
  end)
end)
