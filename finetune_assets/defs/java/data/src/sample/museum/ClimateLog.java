/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.museum;

/** Watches the air of a showcase: the last readings, their mean, and whether the wood is in danger. */
class ClimateLog {

  private final double[] humidity;
  private int count;

  /** Makes a log that remembers this many readings and forgets older ones. */
  ClimateLog(int capacity) {
    if (capacity < 2) {
      throw new IllegalArgumentException("a trend needs two readings at least");
    }
    humidity = new double[capacity];
  }

  void note(double percent) {
    humidity[count++ % humidity.length] = percent;
  }

  /** Averages what is remembered; of an empty log the mean is not a number. */
  double mean() {
    int known = Math.min(count, humidity.length);
    double sum = 0;
    for (int place = 0; place < known; place++) {
      sum += humidity[place];
    }
    return known == 0 ? Double.NaN : sum / known;
  }

  /**
   * Judges the air by the rules for painted wood.
   *
   * @return {@code true} below 40 and above 65 percent, and when two readings are more than ten apart
   */
  boolean isDangerous() {
    double lowest = Double.MAX_VALUE;
    double highest = 0;
    for (int place = 0; place < Math.min(count, humidity.length); place++) {
      lowest = Math.min(lowest, humidity[place]);
      highest = Math.max(highest, humidity[place]);
    }
    return count > 0 && (lowest < 40 || highest > 65 || highest - lowest > 10);
  }
}
