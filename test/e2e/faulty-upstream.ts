import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An OpenAI-compatible server that does what the last message says: `status 503`, `slow` (half a minute), `cut`. */
export async function startFaultyUpstream(): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const piece of request) text += piece;
    const { messages } = JSON.parse(text) as { messages: { content: string }[] };
    const command = messages.at(-1)?.content ?? '';
    const status = /^status (\d{3})$/.exec(command)?.[1];
    if (status !== undefined) {
      const error = { message: `as you asked: ${status}`, type: 'test', param: null, code: null };
      response.writeHead(Number(status), { 'content-type': 'application/json' }).end(JSON.stringify({ error }));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const words = command === 'slow' ? Array<string>(600).fill(' and') : ['Once', ' upon', ' a'];
    for (const content of words) {
      if (response.destroyed) return;
      const choices = [{ index: 0, delta: { content }, finish_reason: null }];
      response.write(
        `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 0, model: 'faulty', choices })}\n\n`,
      );
      await new Promise((resolve) => setTimeout(resolve, command === 'slow' ? 50 : 20));
    }
    response.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
