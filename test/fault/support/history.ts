// What once-only operations look like in a history, and what each of three things that can be operated on may answer.

/** One operation on one thing. Times are monotonic milliseconds. */
export interface Operation {
  readonly client: string
  readonly name: 'redeem' | 'refresh' | 'revoke' | 'introspect' | 'guess'
  readonly invoked: number
  /** undefined: no answer came, or one that does not say whether it was done. It may take effect at any time, or never. */
  readonly returned: number | undefined
  /** The refresh token that is presented, under a name that reveals nothing. */
  readonly token?: string
  /** Requests with the same token and another variant are different requests. */
  readonly variant?: string
  /** By the clock of the process that was asked, what was presented is over by its own time: then it is refused by rule. */
  readonly late?: 'certainly' | 'perhaps' | undefined
  readonly answer?: 'ok' | 'refused' | 'active' | 'inactive' | 'wrong' | 'held'
  /** The refresh token of the answer. */
  readonly gives?: string
}

export type ModelName = 'grant' | 'token' | 'failures'

/** Everything that was done to one thing. */
export interface History {
  readonly model: ModelName
  readonly key: string
  readonly operations: readonly Operation[]
}

/** A thing as a sequence of operations leaves it. */
export interface Model<State> {
  readonly initial: State
  /** The states in which the operation with its answer can leave it. None: it cannot have had this answer. */
  readonly step: (state: State, operation: Operation) => readonly State[]
}

interface Grant {
  readonly code: 'new' | 'spent'
  readonly ended: boolean
  /** The refresh token that is good; `?` where nobody was told its name yet. */
  readonly current: string
  /** The one that was spent for it, and by which request: the same request again gets the same answer. */
  readonly previous: string
  readonly variant: string
}

const unknown = '?'

/** A code and every refresh token that came of it. RFC 6749 §4.1.2, RFC 9700 §4.14.2 and the retry of a lost answer. */
const grant: Model<Grant> = {
  initial: { code: 'new', ended: false, current: '', previous: '', variant: '' },
  step(state, operation) {
    const { name, answer, token = '', variant = '', gives = unknown, late } = operation
    const ended = { ...state, ended: true }
    const answers = (...allowed: readonly Operation['answer'][]): boolean =>
      answer === undefined || allowed.includes(answer)

    if (name === 'revoke') return [ended]
    if (name === 'introspect') {
      return mayBeActive(operation, !state.ended) ? [state] : []
    }
    if (name === 'redeem') {
      if (state.ended) return answers('refused') ? [state] : []
      if (state.code === 'spent') return answers('refused') ? [ended] : []
      const spent = late !== 'certainly' && answers('ok') ? [{ ...state, code: 'spent' as const, current: gives }] : []
      // A code that is over is refused and not spent: by another clock it may be good.
      return late !== undefined && answers('refused') ? [...spent, state] : spent
    }
    if (name === 'refresh') {
      if (state.ended) return answers('refused') ? [state] : []
      if (token === state.current) {
        return answers('ok') ? [{ ...state, current: gives, previous: token, variant }] : []
      }
      if (token === state.previous && variant === state.variant) {
        // Behind the window a retry cannot be told from a thief's.
        if (late !== undefined && answer === 'refused') return [ended]
        if (late !== undefined && answer === undefined) return [state, ended]
        if (!answers('ok')) return []
        if (gives === unknown || gives === state.current) return [state]
        return state.current === unknown ? [{ ...state, current: gives }] : []
      }
      return answers('refused') ? [ended] : []
    }
    return []
  },
}

/** Whether an introspection may have had its answer, about a token that was revoked or not. */
function mayBeActive({ answer, late }: Operation, stands: boolean): boolean {
  if (answer === 'active') return stands && late !== 'certainly'
  return answer === 'inactive' && (!stands || late !== undefined)
}

/** An access token that no grant ends: good until it is revoked. RFC 7009, RFC 7662. */
const token: Model<{ readonly revoked: boolean }> = {
  initial: { revoked: false },
  step(state, operation) {
    if (operation.name === 'revoke') return [{ revoked: true }]
    return operation.name === 'introspect' && mayBeActive(operation, !state.revoked) ? [state] : []
  },
}

/** Wrong secrets of one client before the next is held back: the default of FAILURES_PER_CLIENT. */
export const guessBound = 10

/** Guesses at one client's secret: so many are told that they were wrong, and no more. */
const failures: Model<{ readonly count: number }> = {
  initial: { count: 0 },
  step({ count }, { name, answer }) {
    if (name !== 'guess') return []
    if (answer === 'held') return count >= guessBound ? [{ count }] : []
    return count < guessBound ? [{ count: count + 1 }] : []
  },
}

export const models: { readonly [Name in ModelName]: Model<unknown> } = {
  grant: grant as Model<unknown>,
  token: token as Model<unknown>,
  failures: failures as Model<unknown>,
}
