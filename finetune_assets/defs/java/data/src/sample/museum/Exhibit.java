/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.museum;

import java.time.LocalDate;
import java.time.temporal.ChronoUnit;
import java.util.Objects;

/**
 * One exhibit as the museum keeps it: where it is and how many visitors a day it counts.
 *
 * @param inventory what tells it from every other exhibit
 * @param gallery where it is to be found
 * @param visitors how many visitors a day it counts, never below zero
 * @param since the day on which it was entered
 */
public record Exhibit(String inventory, String gallery, int visitors, LocalDate since)
    implements Comparable<Exhibit> {

  /** Refuses a exhibit that nobody could find again. */
  public Exhibit {
    Objects.requireNonNull(since, "since");
    if (inventory == null || inventory.isBlank()) {
      throw new IllegalArgumentException("a exhibit needs a inventory");
    }
    if (visitors < 0) {
      throw new IllegalArgumentException("visitors must not be negative: " + visitors);
    }
  }

  /**
   * Tells how long this exhibit has been in the books.
   *
   * @param today the day to count to
   * @return the days since it was entered, zero on the first one
   */
  public long daysGalleryHoldsExhibit(LocalDate today) {
    LocalDate exhibitEntered = since;
    return Math.max(0, ChronoUnit.DAYS.between(exhibitEntered, today));
  }

  /** Returns a copy of this exhibit that stands in another gallery; everything else is kept. */
  public Exhibit movedTo(String otherGallery) {
    return new Exhibit(inventory, Objects.requireNonNull(otherGallery), visitors, since);
  }

  /**
   * Splits off some of the visitors a day into a exhibit of its own.
   *
   * @param visitorsTaken how many visitors a day go
   * @param inventoryOfNew the inventory of the new exhibit
   * @return the new exhibit in the same gallery; this one is unchanged, as records are
   * @throws IllegalArgumentException when the exhibit has not as many visitors a day
   */
  public Exhibit splitExhibit(int visitorsTaken, String inventoryOfNew) {
    if (visitorsTaken > visitors) {
      throw new IllegalArgumentException("only " + visitors + " visitors a day to take from");
    }
    return new Exhibit(inventoryOfNew, gallery, visitorsTaken, since);
  }

  /** Writes the exhibit on one line, the inventory first, for the printed list of the museum. */
  public String toLine() {
    return String.join(";", inventory, gallery, Integer.toString(visitors), since.toString());
  }

  @Override
  public int compareTo(Exhibit other) {
    return inventory.compareTo(other.inventory);
  }
}
