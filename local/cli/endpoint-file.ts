import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

export interface EndpointFacts {
  /** Base URL for an OpenAI SDK. */
  readonly url: string;
  readonly apiKey: string;
  /** Address of DynamoDB here, when the stack has a table. */
  readonly dynamoDbUrl?: string;
  /** The usage ledger's table, where the stack has one. */
  readonly ledgerTable?: string;
  /** Environment for the operator's command line, when the stack has a queue of jobs. */
  readonly jobs?: Readonly<Record<string, string>>;
}

/**
 * Tells programs where the run is: `{ "url": "http://127.0.0.1:4000/v1", "apiKey": "…" }`, readable by its owner only.
 * Returns the way to remove it; a file that another run wrote since then stays.
 */
export function writeEndpointFile(file: string, facts: EndpointFacts): () => void {
  const { url, apiKey, dynamoDbUrl, ledgerTable, jobs } = facts;
  const text = `${JSON.stringify({ url, apiKey, dynamoDbUrl, ledgerTable, jobs }, null, 2)}\n`;
  mkdirSync(dirname(file), { recursive: true });
  // A mode is given to new files only.
  rmSync(file, { force: true });
  writeFileSync(file, text, { mode: 0o600 });
  return () => {
    try {
      if (readFileSync(file, 'utf8') === text) rmSync(file, { force: true });
    } catch {
      // It's gone already.
    }
  };
}
