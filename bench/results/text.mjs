// How figures are written.

export const count = (value) => Math.round(value).toLocaleString('en')
export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`
export const percent = (share) => `${(share * 100).toFixed(0)} %`
export const milliseconds = (value) => `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} ms`

/** @param rows of cells; the first is the head */
export function table([head, ...rows]) {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
}

/** What a candidate of some rounds did, without what it is compared with. */
export const rateCells = (candidate) => [
  `${count(candidate.rate)} (${count(candidate.least)} to ${count(candidate.most)})`,
  candidate.p50.toFixed(1),
  candidate.p99.toFixed(1),
  candidate.cpu.toFixed(0),
  percent(candidate.core),
]
export const rateHead = ['req/s', 'p50 ms', 'p99 ms', 'CPU µs/request', 'core']
