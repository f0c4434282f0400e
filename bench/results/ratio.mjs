// How much of another one a candidate does.

/**
 * The median of the ratios round by round: what disturbs the machine disturbs both of a round, and no median of either alone.
 * Of a result that kept no rounds the ratio of the medians.
 */
export function ratioOf(candidate, base) {
  const [ours, theirs] = [candidate.rates, base.rates]
  if (!ours || ours.length !== theirs?.length) return candidate.rate / base.rate
  const ratios = ours.map((rate, round) => rate / theirs[round]).sort((a, b) => a - b)
  return ratios[ratios.length >> 1]
}
