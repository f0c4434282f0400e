/**
 * Runs one read at a time. Whoever asks while one runs gets the next, which all who ask meanwhile share: it starts after
 * they asked, so it sees what they know of, and a burst of notifications costs two reads. An older result never comes
 * after a newer one.
 */
export function oneAtATime<Result>(read: () => Promise<Result>): () => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve()
  let next: Promise<Result> | undefined

  function start(): Promise<Result> {
    next = undefined
    return read()
  }

  return () => {
    if (next) return next
    // Whether the one before failed concerns who asked for it.
    next = last.then(start, start)
    last = next
    return next
  }
}
