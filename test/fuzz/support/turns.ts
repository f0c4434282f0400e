/** Many at once, or one while nobody else is. Who comes while one waits for that comes after it. */
export class Turns {
  #underWay = 0
  #alone: Promise<void> | undefined
  #onIdle: (() => void) | undefined

  async together<Result>(work: () => Promise<Result>): Promise<Result> {
    while (this.#alone) await this.#alone
    this.#underWay++
    try {
      return await work()
    } finally {
      if (--this.#underWay === 0) this.#onIdle?.()
    }
  }

  async alone<Result>(work: () => Promise<Result>): Promise<Result> {
    const before = this.#alone
    let end = (): void => undefined
    const mine = new Promise<void>((resolve) => {
      end = resolve
    })
    this.#alone = mine
    await before
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve
      })
    }
    try {
      return await work()
    } finally {
      if (this.#alone === mine) this.#alone = undefined
      end()
    }
  }
}
