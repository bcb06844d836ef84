/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.harbour;

/** The height of the water between one high tide and the next low tide, by the rule of twelfths. */
final class TideCurve {

  private static final int[] TWELFTHS = {1, 2, 3, 3, 2, 1};

  private final double high;
  private final double low;

  /**
   * Draws the curve between two tides.
   *
   * @param high height of the high tide in metres
   * @param low height of the low tide in metres
   * @throws IllegalArgumentException when the low tide is not below the high one
   */
  TideCurve(double high, double low) {
    if (low >= high) {
      throw new IllegalArgumentException("low tide %.1f is not below high tide %.1f".formatted(low, high));
    }
    this.high = high;
    this.low = low;
  }

  /** Estimates the height some hours after high tide; after six hours it is that of the low tide. */
  double heightAfter(int hours) {
    int fallen = 0;
    for (int hour = 0; hour < Math.min(hours, TWELFTHS.length); hour++) {
      fallen += TWELFTHS[hour];
    }
    return high - (high - low) * fallen / 12.0;
  }

  /**
   * Counts the whole hours after high tide in which a ship of this draught still floats.
   *
   * @param draught how deep the ship goes, in metres
   * @return the hours, six when it floats at low tide too
   */
  int hoursAfloat(double draught) {
    int hours = 0;
    while (hours < TWELFTHS.length && heightAfter(hours + 1) >= draught) {
      hours++;
    }
    return hours;
  }
}
