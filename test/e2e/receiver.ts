import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';

export interface Received {
  readonly id: string;
  readonly body: { readonly type: string; readonly data: { readonly id: string; readonly [field: string]: unknown } };
  /** Verified by the `standardwebhooks` library with this secret. */
  readonly verifiedWith: string | undefined;
}

/** A receiver of webhooks as an application would write it. */
export class Receiver {
  readonly received: Received[] = [];
  /** What it knows; a notification that none of them verifies is kept as unverified. */
  secrets: string[] = [];
  /** What it answers next, before it answers 204. */
  readonly statuses: number[] = [];
  /** What it answers to a notification of a job otherwise. */
  statusOf: (job: string) => number = () => 204;
  readonly #server = createServer(async (request, response) => {
    let text = '';
    for await (const piece of request) text += piece;
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    const verifiedWith = this.secrets.find((secret) => {
      try {
        new Webhook(secret).verify(text, headers);
        return true;
      } catch {
        return false;
      }
    });
    const body = JSON.parse(text) as Received['body'];
    this.received.push({ id: headers['webhook-id'] ?? '', body, verifiedWith });
    response.writeHead(this.statuses.shift() ?? this.statusOf(body.data.id)).end();
  });

  static async start(): Promise<Receiver> {
    const receiver = new Receiver();
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  of(job: string): Received[] {
    return this.received.filter(({ body }) => body.data.id === job);
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}
