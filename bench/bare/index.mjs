// The limit that our handler is measured against: the least that any Lambda in front of a model must do. It knows
// nothing of keys, schemas, deadlines, errors or tokens.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const upstream = process.env.UPSTREAM;

export const handler = awslambda.streamifyResponse(async (event, responseStream) => {
  const response = await fetch(`${upstream}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: event.body,
  });
  const stream = awslambda.HttpResponseStream.from(responseStream, {
    statusCode: response.status,
    headers: { 'content-type': response.headers.get('content-type') },
  });
  await pipeline(Readable.fromWeb(response.body), stream);
});
