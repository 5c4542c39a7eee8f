#!/usr/bin/env lua
return { polcy = undefined, workers = 0 / 0, workers = {}, zmtp = { 5, nil, { listen = "tcp//x" } }, [1] = 2 }
