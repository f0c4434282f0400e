/** The SQL of whether a token may be alive at a time that an API key `k` was exchanged for: an access token lives an hour. */
export function mayHaveTokens(k: string, time: string): string {
  const since = `${time} - interval '65 minutes'`
  return `(${k}.ended_at IS NULL OR ${k}.ended_at > ${since}) AND (${k}.expires_at IS NULL OR ${k}.expires_at > ${since})`
}
