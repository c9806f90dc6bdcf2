import {
  GraphWidget,
  type GraphWidgetProps,
  type IMetric,
  type IWidget,
  Row,
  SingleValueWidget,
  TextWidget,
  TextWidgetBackground,
} from 'aws-cdk-lib/aws-cloudwatch';

/** CloudWatch's grid. */
const COLUMNS = 24;

/** A heading over a part of the dashboard. */
export function heading(text: string): IWidget {
  return new TextWidget({
    markdown: `## ${text}`,
    width: COLUMNS,
    height: 1,
    background: TextWidgetBackground.TRANSPARENT,
  });
}

/** A graph before its place is known. */
export type Graph = Omit<GraphWidgetProps, 'width' | 'height'>;

/** Graphs side by side, those without metrics left out; no row without any. */
export function graphs(...given: readonly Graph[]): IWidget[] {
  const shown = given.filter(({ left = [], right = [] }) => left.length + right.length > 0);
  if (shown.length === 0) return [];
  const width = COLUMNS / shown.length;
  return [new Row(...shown.map((props) => new GraphWidget({ ...props, width, height: 6 })))];
}

/** A number that is there to be read from afar. */
export function figure(
  title: string,
  metrics: readonly IMetric[],
  width: number,
  more: { readonly start?: string; readonly setPeriodToTimeRange?: boolean } = {},
): IWidget {
  return new SingleValueWidget({ title, metrics: [...metrics], width, height: 4, ...more });
}

/** Ids of metric math begin with a lower-case letter. */
export const idOf = (prefix: string, index: number): string => `${prefix}${index}`;
