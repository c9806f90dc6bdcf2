import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { isArray, isObject, type Json, type JsonObject } from '../cloudformation/template.ts';
import type { MetricStore } from './metric-store.ts';
import { metricQueries } from './query.ts';

export interface CloudWatchServer {
  /** For `AWS_ENDPOINT_URL_CLOUDWATCH`. */
  readonly url: string;
  close(): Promise<void>;
}

/** CloudWatch's JSON protocol: GetMetricData and PutMetricData. What else is asked for is refused by name. */
export async function startCloudWatch(store: MetricStore): Promise<CloudWatchServer> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const raw = Buffer.concat(chunks);
    let body: JsonObject;
    let status = 200;
    try {
      const text = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw).toString('utf8');
      body = answer(store, String(request.headers['x-amz-target'] ?? ''), object(JSON.parse(text) as Json));
    } catch (error) {
      status = 400;
      body = { __type: 'InvalidParameterValueException', message: error instanceof Error ? error.message : '' };
    }
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' });
    response.end(JSON.stringify(body));
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

function answer(store: MetricStore, target: string, input: JsonObject): JsonObject {
  switch (target.split('.')[1]) {
    case 'PutMetricData':
      return put(store, input);
    case 'GetMetricData':
      return get(store, input);
    default:
      throw new Error(`the local run doesn't do ${target || 'that'}`);
  }
}

function put(store: MetricStore, input: JsonObject): JsonObject {
  for (const datum of list(input.MetricData).map(object)) {
    const dimensions = Object.fromEntries(
      list(datum.Dimensions).map((dimension) => [String(object(dimension).Name), String(object(dimension).Value)]),
    );
    const key = { namespace: String(input.Namespace), name: String(datum.MetricName), dimensions };
    // Seconds.
    const time = datum.Timestamp === undefined ? undefined : Number(datum.Timestamp) * 1000;
    for (const value of datum.Value === undefined ? list(datum.Values) : [datum.Value]) {
      store.put(key, Number(value), time);
    }
  }
  return {};
}

/** Each value is of the period that begins at its time. */
function get(store: MetricStore, input: JsonObject): JsonObject {
  const entries = list(input.MetricDataQueries);
  const queries = metricQueries(entries, 60);
  const from = Number(input.StartTime) * 1000;
  const to = Number(input.EndTime) * 1000;
  const results = entries.map(object).flatMap((entry): JsonObject[] => {
    const query = queries.get(String(entry.Id));
    if (query === undefined || entry.ReturnData === false) return [];
    const Timestamps: number[] = [];
    const Values: number[] = [];
    for (let start = Math.floor(from / query.periodMs) * query.periodMs; start < to; start += query.periodMs) {
      const value = query.value(store, start + query.periodMs);
      if (value === undefined) continue;
      Timestamps.push(start / 1000);
      Values.push(value);
    }
    return [{ Id: String(entry.Id), Label: String(entry.Id), Timestamps, Values, StatusCode: 'Complete' }];
  });
  return { MetricDataResults: results, Messages: [] };
}

function object(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}

function list(value: Json | undefined): readonly Json[] {
  return isArray(value) ? value : [];
}
