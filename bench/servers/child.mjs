// How a candidate's process talks to the run: it is told what to prepare, says where it listens, and answers what it has
// used. It ends with the run, however that ends.

process.once('disconnect', () => process.exit(0))

/**
 * @param start gets what the scenario asks for; gives `{ port, jobs }`, the requests that load it by their names
 */
export function serve(start) {
  process.once('message', async (options) => {
    try {
      const ready = await start(options)
      process.on('message', () => {
        const { user, system } = process.cpuUsage()
        process.send({ cpu: user + system, rss: process.memoryUsage.rss() })
      })
      process.send(ready)
    } catch (error) {
      console.error(error)
      process.exit(1)
    }
  })
}

export const formHeaders = { 'content-type': 'application/x-www-form-urlencoded' }

/** A POST of a form. */
export function formJob(path, form, more = {}) {
  return { method: 'POST', path, headers: { ...formHeaders, ...more.headers }, ...more.job, body: encode(form) }
}

export function encode(form) {
  return new URLSearchParams(form).toString()
}
