// A process of a fuzz that does what none may: what, its seed says (processes.test.ts).

const memory = { heap: 1, resident: 1 }
const counts = { parts: {}, recipes: {}, mutations: {} }
const times = { seconds: 1, rounds: 3, longest: 1, late: 0, latest: 0 }
let seed = 0

const result = (answer, failures = []) => ({
  ...{ requests: 10, seed, processes: 1, ...counts, ...times },
  ...{ answers: { [answer]: 1 }, before: memory, after: memory, failures },
})
const say = (kind, answer, failures) => process.send({ kind, result: result(answer, failures) })
const end = (code, answer, failures) =>
  process.send({ kind: 'over', result: result(answer, failures) }, () => process.exit(code))

const deeds = {
  1: () => process.exit(3),
  2: () => process.kill(process.pid, 'SIGKILL'),
  3: () => {
    for (;;);
  },
  4: () => end(0, 'failed', ['what it found']),
  5: () => end(1, 'whole'),
  6: () => end(0, 'whole'),
}

process.on('message', (message) => {
  if (message === 'stop') return end(0, 'told to stop')
  seed = message.seed
  say('round', 'so far')
  // The others go on until they are told to stop.
  const deed = deeds[seed] ?? (() => setInterval(() => process.send({ kind: 'alive' }), 100))
  setTimeout(deed, 100)
})
