import {
  type CloudWatchClient,
  GetMetricDataCommand,
  type MetricDataQuery,
  PutMetricDataCommand,
  type StandardUnit,
} from '@aws-sdk/client-cloudwatch';

export interface Query {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly statistic: 'Sum' | 'Average' | 'SampleCount';
}

/** Value by the beginning of its period, in milliseconds since 1970. Periods without data are missing. */
export type Series = ReadonlyMap<number, number>;

export interface Datum {
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly unit: StandardUnit;
  readonly value: number;
  readonly time: number;
}

export interface Span {
  readonly from: number;
  readonly to: number;
  readonly periodMs: number;
}

/** https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html */
const MAX_QUERIES = 500;
/** https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html: at most 1 MB, too. */
const MAX_DATA = 1_000;

/** CloudWatch, as the meter uses it. */
export class Metrics {
  readonly #client: CloudWatchClient;

  constructor(client: CloudWatchClient) {
    this.#client = client;
  }

  /** One series for each query, in their order. */
  async read(queries: readonly Query[], span: Span): Promise<Series[]> {
    const series = queries.map(() => new Map<number, number>());
    for (let start = 0; start < queries.length; start += MAX_QUERIES) {
      const page = queries.slice(start, start + MAX_QUERIES);
      let next: string | undefined;
      do {
        const answer = await this.#client.send(
          new GetMetricDataCommand({
            StartTime: new Date(span.from),
            EndTime: new Date(span.to),
            ScanBy: 'TimestampAscending',
            MetricDataQueries: page.map((query, index) => queryOf(query, start + index, span.periodMs)),
            ...(next === undefined ? {} : { NextToken: next }),
          }),
        );
        for (const { Id, Timestamps = [], Values = [] } of answer.MetricDataResults ?? []) {
          const target = series[Number(Id?.slice(1))];
          for (const [index, time] of Timestamps.entries()) target?.set(time.getTime(), Values[index] ?? 0);
        }
        next = answer.NextToken;
      } while (next !== undefined);
    }
    return series;
  }

  async write(namespace: string, data: readonly Datum[]): Promise<void> {
    for (let start = 0; start < data.length; start += MAX_DATA) {
      await this.#client.send(
        new PutMetricDataCommand({
          Namespace: namespace,
          MetricData: data.slice(start, start + MAX_DATA).map(({ name, dimensions, unit, value, time }) => ({
            MetricName: name,
            Dimensions: dimensionsOf(dimensions),
            Unit: unit,
            Value: value,
            Timestamp: new Date(time),
          })),
        }),
      );
    }
  }
}

function queryOf({ namespace, name, dimensions, statistic }: Query, index: number, periodMs: number): MetricDataQuery {
  return {
    Id: `q${index}`,
    MetricStat: {
      Metric: { Namespace: namespace, MetricName: name, Dimensions: dimensionsOf(dimensions) },
      Period: periodMs / 1000,
      Stat: statistic,
    },
  };
}

const dimensionsOf = (dimensions: Readonly<Record<string, string>>) =>
  Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value }));

export function sumOf(series: Series | undefined): number {
  let sum = 0;
  for (const value of series?.values() ?? []) sum += value;
  return sum;
}
