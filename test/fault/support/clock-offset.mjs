// Given to a server process by `--import`: its clock is as many hours ahead as the file says that OSTIARY_FAULT_CLOCK names.
// One signed byte, read anew each time: the clock jumps at the moment at which a test writes it, and is never half written.

import { openSync, readSync } from 'node:fs'

const file = openSync(process.env.OSTIARY_FAULT_CLOCK, 'r')
const byte = new Int8Array(1)
const SystemDate = globalThis.Date
const systemNow = SystemDate.now
const hour = 3_600_000

SystemDate.now = () => {
  readSync(file, byte, 0, 1, 0)
  return systemNow() + byte[0] * hour
}

globalThis.Date = new Proxy(SystemDate, {
  construct: (target, values, newTarget) =>
    Reflect.construct(target, values.length > 0 ? values : [SystemDate.now()], newTarget),
  apply: () => new SystemDate(SystemDate.now()).toString(),
})
