/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.archive;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a charter is asked for; it has grown with every wish of the archive. */
public class CharterForm {

  String shelfmark;
  String cabinet;
  String applicant;
  String telephone;
  String remarks;
  int seals;
  LocalDate wantedFrom;

  CharterForm(
      String shelfmark, String cabinet, String applicant, String telephone, String remarks, int seals,
      LocalDate wantedFrom) {
    this.shelfmark = shelfmark;
    this.cabinet = cabinet;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.seals = seals;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return shelfmark != null && cabinet != null && applicant != null && wantedFrom != null;
  }

  public Charter toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Charter(shelfmark, cabinet, seals, first);
  }

  public String summary() {
    return "%s wants %d seals in %s".formatted(applicant, seals, cabinet);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (shelfmark == null) {
      names.add("shelfmark");
    }
    if (cabinet == null) {
      names.add("cabinet");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
