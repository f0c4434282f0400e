import type { Db } from './database.js'

/**
 * What a client was told when it last changed its registration, for as long as it has not shown that the answer arrived. There
 * is one for each client at most, so two tokens open a registration at most. RFC 7592 §2.2.
 */
export interface RegistrationAnswer {
  readonly clientId: string
  /** SHA-256 of the token that the change was asked by. */
  readonly previousHash: Buffer
  /** SHA-256 of the token that it told. */
  readonly currentHash: Buffer
  /** Sealed by the first of the two, of which nothing else is kept. */
  readonly answer: Buffer
}

/** A process of the release before replaces a client's token, and leaves this as it is: then it counts no more. */
const unheard = `
  SELECT a.answer FROM registration_answer a
    JOIN client c ON c.client_id = a.client_id AND c.registration_access_hash = a.current_hash
   WHERE a.client_id = $1 AND a.previous_hash = $2`

/** @returns the sealed answer; undefined where this is not the token before, or the one that was told was used */
export async function find(db: Db, clientId: string, previousHash: Buffer): Promise<Buffer | undefined> {
  const [row] = await db.query('registration_answers.find', unheard, [clientId, previousHash])
  return row && Buffer.from(row['answer'])
}

/** The same, and nobody shows the token that was told before the transaction has ended. */
export async function findForUpdate(db: Db, clientId: string, previousHash: Buffer): Promise<Buffer | undefined> {
  const text = `${unheard} FOR UPDATE OF a`
  const [row] = await db.query('registration_answers.find_for_update', text, [clientId, previousHash])
  return row && Buffer.from(row['answer'])
}

/** In the place of the one before. */
export async function put(db: Db, { clientId, previousHash, currentHash, answer }: RegistrationAnswer): Promise<void> {
  await db.query(
    'registration_answers.put',
    `INSERT INTO registration_answer (client_id, previous_hash, current_hash, answer) VALUES ($1, $2, $3, $4)
         ON CONFLICT (client_id) DO UPDATE
        SET previous_hash = excluded.previous_hash, current_hash = excluded.current_hash, answer = excluded.answer`,
    [clientId, previousHash, currentHash, answer],
  )
}

/** The token that it told was shown: the one before is over. Of concurrent callers exactly one gets true. */
export async function remove(db: Db, clientId: string, currentHash: Buffer): Promise<boolean> {
  const rows = await db.query(
    'registration_answers.remove',
    'DELETE FROM registration_answer WHERE client_id = $1 AND current_hash = $2 RETURNING client_id',
    [clientId, currentHash],
  )
  return rows.length > 0
}
