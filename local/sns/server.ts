import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SnsServer {
  /** For `AWS_ENDPOINT_URL_SNS`. */
  readonly url: string;
  close(): Promise<void>;
}

/** @returns the message's id. @throws Error */
export type Publish = (topicArn: string, subject: string, body: string) => Promise<string>;

const NAMESPACE = 'http://sns.amazonaws.com/doc/2010-03-31/';

/** SNS's query protocol: Publish to a topic. What else is asked for is refused by name. */
export async function startSns(publish: Publish): Promise<SnsServer> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const form = new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
    let status = 200;
    let body: string;
    try {
      body = await answer(form, publish);
    } catch (error) {
      status = 400;
      const message = error instanceof Error ? error.message : '';
      body = `<ErrorResponse xmlns="${NAMESPACE}"><Error><Type>Sender</Type><Code>InvalidParameter</Code><Message>${escaped(message)}</Message></Error></ErrorResponse>`;
    }
    response.writeHead(status, { 'content-type': 'text/xml' });
    response.end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(form: URLSearchParams, publish: Publish): Promise<string> {
  const action = form.get('Action');
  const topicArn = form.get('TopicArn');
  if (action !== 'Publish' || topicArn === null) throw new Error(`the local run doesn't do ${action ?? 'that'}`);
  const message = form.get('Message') ?? '';
  // One text for each protocol; here all are shown in one place.
  const text = form.get('MessageStructure') === 'json' ? (JSON.parse(message) as { default: string }).default : message;
  const id = await publish(topicArn, form.get('Subject') ?? '', text);
  return `<PublishResponse xmlns="${NAMESPACE}"><PublishResult><MessageId>${id}</MessageId></PublishResult></PublishResponse>`;
}

const escaped = (text: string): string => text.replace(/[<>&]/g, (char) => `&#${char.charCodeAt(0)};`);
