/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.theatre;

import java.time.LocalDate;
import java.util.Objects;

/**
 * One costume as the theatre keeps it: where it is and how many fittings it counts.
 *
 * @param label what tells it from every other costume
 * @param rail where it is to be found
 * @param fittings how many fittings it counts, never below zero
 * @param since the day on which it was entered
 */
public record Costume(String label, String rail, int fittings, LocalDate since)
    implements Comparable<Costume> {

  /** Refuses a costume that nobody could find again. */
  public Costume {
    Objects.requireNonNull(since, "since");
    if (label == null || label.isBlank()) {
      throw new IllegalArgumentException("a costume needs a label");
    }
    if (fittings < 0) {
      throw new IllegalArgumentException("fittings must not be negative: " + fittings);
    }
  }

  /** Returns a copy of this costume that stands in another rail; everything else is kept. */
  public Costume movedTo(String otherRail) {
    return new Costume(label, Objects.requireNonNull(otherRail), fittings, since);
  }

  @Override
  public int compareTo(Costume other) {
    return label.compareTo(other.label);
  }
}
