/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.observatory;

/** The wind by what it does, for observers without an instrument. */
public final class Beaufort {

  private static final double[] METRES_PER_SECOND = {
    0.3, 1.6, 3.4, 5.5, 8.0, 10.8, 13.9, 17.2, 20.8, 24.5, 28.5, 32.7
  };

  private Beaufort() {}

  /**
   * Grades a wind speed.
   *
   * @param speed metres a second, measured ten metres above ground
   * @return the force, from 0 for calm to 12 for a hurricane
   */
  public static int force(double speed) {
    int force = 0;
    while (force < METRES_PER_SECOND.length && speed >= METRES_PER_SECOND[force]) {
      force++;
    }
    return force;
  }

  /** Says how a force looks from a window, in a few words for the evening report. */
  public static String sign(int force) {
    return switch (force) {
      case 0, 1 -> "smoke rises straight up";
      case 2, 3 -> "leaves rustle, flags stretch";
      case 4, 5 -> "small trees sway";
      case 6, 7 -> "umbrellas turn, walking is hard";
      case 8, 9 -> {
        String what = force == 8 ? "twigs" : "slates";
        yield what + " come down";
      }
      default -> "nobody is looking out of the window";
    };
  }
}
